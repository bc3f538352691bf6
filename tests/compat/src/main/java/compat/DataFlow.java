package compat;

import static compat.Checks.becomes;
import static compat.Checks.holds;
import static compat.Checks.refused;
import static compat.Checks.same;

import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

import org.springframework.cloud.deployer.spi.app.AppStatus;
import org.springframework.cloud.deployer.spi.app.DeploymentState;
import org.springframework.cloud.skipper.ReleaseNotFoundException;
import org.springframework.cloud.skipper.client.SkipperClient;
import org.springframework.cloud.skipper.domain.ConfigValues;
import org.springframework.cloud.skipper.domain.InstallProperties;
import org.springframework.cloud.skipper.domain.InstallRequest;
import org.springframework.cloud.skipper.domain.PackageIdentifier;
import org.springframework.cloud.skipper.domain.Release;
import org.springframework.cloud.skipper.domain.RollbackRequest;
import org.springframework.cloud.skipper.domain.ScaleRequest;
import org.springframework.cloud.skipper.domain.SpringCloudDeployerApplicationManifestReader;
import org.springframework.cloud.skipper.domain.StatusCode;
import org.springframework.cloud.skipper.domain.UpgradeProperties;
import org.springframework.cloud.skipper.domain.UpgradeRequest;

/** A stream of two applications, deployed and undeployed with the requests that Data Flow makes. */
final class DataFlow {
    private static final String STREAM = "ticktock";

    private final SkipperClient client;
    private final Packages packages;
    private final String resource;

    DataFlow(SkipperClient client, Packages packages, String resource) {
        this.client = client;
        this.packages = packages;
        this.resource = resource;
    }

    void walk(Checks checks) {
        checks.step("Data Flow looks at the server", this::greet);
        checks.step("a stream is deployed", this::deploy);
        checks.step("states and statuses of streams", this::states);
        checks.step("an application is found by its deployment id", this::find);
        checks.step("the stream's manifest is read", this::manifest);
        checks.step("one application of the stream is updated", this::update);
        checks.step("the stream is rolled back", this::rollback);
        checks.step("an application of the stream is scaled", this::scale);
        checks.step("the stream is undeployed", this::undeploy);
        checks.step("the stream is deployed again and undeployed", this::again);
    }

    private void greet() {
        holds("the server has a name", client.info().getVersionInfo().getServer().getName() != null);
        holds("and a platform", !client.listDeployers().isEmpty());
    }

    private void deploy() throws Exception {
        var applications = List.of(
                packages.single("log", "1.0.0", resource, Map.of("spring.cloud.dataflow.stream.app.label", "log")),
                packages.single("time", "1.0.0", resource, Map.of("spring.cloud.dataflow.stream.app.label", "time")));
        client.upload(packages.upload(packages.stream(STREAM, "1.0.0", applications)));
        InstallProperties properties = new InstallProperties();
        properties.setReleaseName(STREAM);
        properties.setPlatformName("default");
        properties.setConfigValues(new ConfigValues());
        InstallRequest request = new InstallRequest();
        request.setPackageIdentifier(identifier());
        request.setInstallProperties(properties);
        Release made = client.install(request);
        same("status", StatusCode.DEPLOYED, made.getInfo().getStatus().getStatusCode());
        allRun();
    }

    private void states() {
        var states = client.states(STREAM, "nobody");
        same("streams that are known", Set.of(STREAM), states.keySet());
        same("its applications", 2, states.get(STREAM).size());
        holds("all are deployed: " + states, states.get(STREAM).values().stream()
                .allMatch(it -> it == DeploymentState.deployed));
        var statuses = client.statuses(STREAM, "nobody");
        same("streams that are known", Set.of(STREAM), statuses.keySet());
        same("its status", StatusCode.DEPLOYED, statuses.get(STREAM).getStatus().getStatusCode());
        Map<?, ?> none = client.states("nobody");
        holds("nothing of nobody: " + none, none == null || none.isEmpty());
    }

    private void find() throws Exception {
        String id = applications().get(0).getDeploymentId();
        becomes("a release of the list has the application " + id, true, () -> client.list(null).stream()
                .filter(it -> it.getInfo().getStatus().getPlatformStatus() != null)
                .flatMap(it -> it.getInfo().getStatus().getAppStatusList().stream())
                .anyMatch(it -> it.getDeploymentId().equals(id)));
    }

    private void manifest() {
        var read = new SpringCloudDeployerApplicationManifestReader().read(client.manifest(STREAM));
        Set<String> names = read.stream().map(it -> it.getMetadata().get("name"))
                .collect(Collectors.toCollection(TreeSet::new));
        same("its applications", Set.of("log", "time"), names);
        for (var it : read) {
            same("version", "1.0.0", it.getSpec().getVersion());
            holds("its resource", it.getSpec().getResource().startsWith("file:"));
            holds("its properties", it.getSpec().getApplicationProperties().containsKey("app.version"));
        }
    }

    private void update() throws Exception {
        String time = id("time");
        UpgradeProperties properties = new UpgradeProperties();
        properties.setReleaseName(STREAM);
        ConfigValues values = new ConfigValues();
        values.setRaw("\"log\":\n  \"version\": \"2.0.0\"\n  \"spec\":\n    \"version\": \"2.0.0\"\n");
        properties.setConfigValues(values);
        UpgradeRequest request = new UpgradeRequest();
        request.setPackageIdentifier(identifier());
        request.setUpgradeProperties(properties);
        request.setForce(false);
        request.setAppNames(List.of());
        same("version", 2, client.upgrade(request).getVersion());
        becomes("version 2", StatusCode.DEPLOYED, () -> code(2));
        becomes("version 1", StatusCode.DELETED, () -> code(1));
        allRun();
        same("`time` was left alone", time, id("time"));
        holds("`log` was replaced: " + id("log"), id("log").endsWith("-v2"));
    }

    private void rollback() throws Exception {
        same("version", 3, client.rollback(new RollbackRequest(STREAM, 1)).getVersion());
        becomes("version 3", StatusCode.DEPLOYED, () -> code(3));
        allRun();
        same("the manifest is version 1's", client.manifest(STREAM, 1), client.manifest(STREAM, 3));
    }

    private void scale() throws Exception {
        client.scale(STREAM, ScaleRequest.of("log", 2));
        becomes("instances of `log`", 2, () -> application("log").getInstances().size());
        same("instances of `time`", 1, application("time").getInstances().size());
    }

    private void undeploy() {
        client.delete(STREAM, true);
        same("packages left", 0, client.search(STREAM, false).size());
        same("the stream", StatusCode.DELETED, client.status(STREAM).getStatus().getStatusCode());
        refused(ReleaseNotFoundException.class, () -> client.delete(STREAM, true));
    }

    private void again() throws Exception {
        deploy();
        same("version", 4, client.list(STREAM).get(0).getVersion());
        undeploy();
    }

    private void allRun() throws Exception {
        becomes("all applications run", true, () -> applications().size() == 2
                && applications().stream().allMatch(it -> it.getState() == DeploymentState.deployed));
    }

    private List<AppStatus> applications() {
        return client.status(STREAM).getStatus().getAppStatusList();
    }

    private AppStatus application(String name) {
        return applications().stream().filter(it -> it.getInstances().values().stream()
                .anyMatch(one -> name.equals(one.getAttributes().get("skipper.application.name"))))
                .findFirst().orElseThrow(() -> new AssertionError("there is no `" + name + "`"));
    }

    private String id(String name) {
        return application(name).getDeploymentId();
    }

    private StatusCode code(int version) {
        return client.status(STREAM, version).getStatus().getStatusCode();
    }

    private static PackageIdentifier identifier() {
        PackageIdentifier identifier = new PackageIdentifier();
        identifier.setPackageName(STREAM);
        identifier.setPackageVersion("1.0.0");
        return identifier;
    }
}
