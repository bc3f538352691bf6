package compat;

import static compat.Checks.becomes;
import static compat.Checks.holds;
import static compat.Checks.refused;
import static compat.Checks.same;

import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

import org.springframework.cloud.deployer.spi.app.AppInstanceStatus;
import org.springframework.cloud.deployer.spi.app.AppStatus;
import org.springframework.cloud.deployer.spi.app.DeploymentState;
import org.springframework.cloud.skipper.PackageDeleteException;
import org.springframework.cloud.skipper.ReleaseNotFoundException;
import org.springframework.cloud.skipper.SkipperException;
import org.springframework.cloud.skipper.client.SkipperClient;
import org.springframework.cloud.skipper.domain.ActuatorPostRequest;
import org.springframework.cloud.skipper.domain.CancelRequest;
import org.springframework.cloud.skipper.domain.ConfigValues;
import org.springframework.cloud.skipper.domain.Info;
import org.springframework.cloud.skipper.domain.InstallProperties;
import org.springframework.cloud.skipper.domain.InstallRequest;
import org.springframework.cloud.skipper.domain.PackageIdentifier;
import org.springframework.cloud.skipper.domain.PackageMetadata;
import org.springframework.cloud.skipper.domain.Release;
import org.springframework.cloud.skipper.domain.RollbackRequest;
import org.springframework.cloud.skipper.domain.ScaleRequest;
import org.springframework.cloud.skipper.domain.StatusCode;
import org.springframework.cloud.skipper.domain.UpgradeProperties;
import org.springframework.cloud.skipper.domain.UpgradeRequest;

/** A release's whole life, command after command, as a person types them. */
final class Shell {
    private static final String RELEASE = "web";

    private final SkipperClient client;
    private final Packages packages;
    private final String resource;

    Shell(SkipperClient client, Packages packages, String resource) {
        this.client = client;
        this.packages = packages;
        this.resource = resource;
    }

    void walk(Checks checks) {
        checks.step("skipper info, skipper config", this::about);
        checks.step("repo list", this::repositories);
        checks.step("platform list", this::platforms);
        checks.step("package upload", this::upload);
        checks.step("package list, package search", this::search);
        checks.step("package install", this::install);
        checks.step("release status", this::status);
        checks.step("release list", this::list);
        checks.step("manifest get", this::manifest);
        checks.step("the logs of a release", this::logs);
        checks.step("an application's actuator", this::actuator);
        checks.step("release upgrade", this::upgrade);
        checks.step("release upgrade, with no difference", this::upgradeWithoutDifference);
        checks.step("release history", this::history);
        checks.step("release rollback", this::rollback);
        checks.step("release upgrade --force", this::force);
        checks.step("the scale of a release", this::scale);
        checks.step("release cancel", this::cancel);
        checks.step("an upgrade that fails", this::failingUpgrade);
        checks.step("package delete, refused while in use", this::deletePackageInUse);
        checks.step("release delete", this::delete);
        checks.step("release rollback, of a deleted release", this::rollbackDeleted);
        checks.step("release delete --delete-package", this::deleteWithPackage);
        checks.step("package delete", this::deletePackage);
        checks.step("what is not there", this::unknown);
    }

    private void about() {
        var server = client.info().getVersionInfo().getServer();
        holds("the server tells its name", server.getName() != null && !server.getName().isEmpty());
        holds("and its version", server.getVersion() != null && !server.getVersion().isEmpty());
    }

    private void repositories() {
        var local = client.listRepositories().stream().filter(it -> it.getName().equals("local")).toList();
        same("repositories named `local`", 1, local.size());
        holds("it is a local one", local.get(0).isLocal());
    }

    private void platforms() {
        var found = client.listDeployers().stream().filter(it -> it.getName().equals("default")).toList();
        same("platforms named `default`", 1, found.size());
        same("its type", "local", found.get(0).getType());
    }

    private void upload() throws Exception {
        for (String version : List.of("1.0.0", "2.0.0")) {
            var made = packages.single("app", version, resource, Map.of());
            PackageMetadata kept = client.upload(packages.upload(made));
            same("name", "app", kept.getName());
            same("version", version, kept.getVersion());
            same("repository", "local", kept.getRepositoryName());
        }
        SkipperException twice = refused(SkipperException.class, () ->
                client.upload(packages.upload(packages.single("app", "1.0.0", resource, Map.of()))));
        holds("it says why: " + twice.getMessage(), twice.getMessage().contains("[app:1.0.0]"));
    }

    private void search() {
        same("all packages", List.of("app", "app"), names(client.search(null, false)));
        same("those with `AP`", List.of("app", "app"), names(client.search("AP", true)));
        same("those with `none`", List.of(), names(client.search("none", true)));
        var one = client.search("app", true).iterator().next();
        same("maintainer, in detail", "compat", one.getMaintainer());
    }

    private static List<String> names(Collection<PackageMetadata> found) {
        return found.stream().map(PackageMetadata::getName).collect(Collectors.toList());
    }

    private void install() throws Exception {
        Release made = client.install(request("1.0.0", "spec:\n  applicationProperties:\n    greeting: hello\n"));
        same("name", RELEASE, made.getName());
        same("version", 1, made.getVersion());
        same("status", StatusCode.DEPLOYED, made.getInfo().getStatus().getStatusCode());
        same("description", "Install complete", made.getInfo().getDescription());
        runs(1, 1);
        SkipperException again = refused(SkipperException.class, () -> client.install(request("1.0.0", "")));
        same("why not twice", "Release with the name [web] already exists and it is not deleted.", again.getMessage());
    }

    private void status() {
        Info now = client.status(RELEASE);
        AppInstanceStatus instance = instances(now).iterator().next();
        var attributes = instance.getAttributes();
        for (String name : List.of("guid", "url", "skipper.application.name", "skipper.release.name",
                "skipper.release.version")) {
            holds("an instance has the attribute " + name + ": " + attributes, attributes.containsKey(name));
        }
        same("application", "app", attributes.get("skipper.application.name"));
        same("release", RELEASE, attributes.get("skipper.release.name"));
        same("version", "1", attributes.get("skipper.release.version"));
        same("status of version 1", StatusCode.DEPLOYED, client.status(RELEASE, 1).getStatus().getStatusCode());
    }

    private void list() {
        same("all releases", 1, client.list(null).size());
        same("those with `EB`", RELEASE, client.list("EB").get(0).getName());
        same("those with `none`", 0, client.list("none").size());
    }

    private void manifest() {
        String text = client.manifest(RELEASE);
        holds("the manifest names its kind: " + text, text.contains("SpringCloudDeployerApplication"));
        holds("and what the request set: " + text, text.contains("greeting"));
        same("that of version 1", text, client.manifest(RELEASE, 1));
    }

    private void logs() throws Exception {
        becomes("the log tells of the start", true, () ->
                client.getLog(RELEASE).getLogs().values().stream().anyMatch(it -> it.contains("listening on")));
        String id = client.getLog(RELEASE).getLogs().keySet().iterator().next();
        same("logs of one application", 1, client.getLog(RELEASE, id).getLogs().size());
    }

    private void actuator() {
        AppStatus app = client.status(RELEASE).getStatus().getAppStatusList().get(0);
        String guid = app.getInstances().values().iterator().next().getAttributes().get("guid");
        String info = client.getFromActuator(RELEASE, app.getDeploymentId(), guid, "/info");
        holds("its info: " + info, info.contains("\"version\":\"1.0.0\""));
        ActuatorPostRequest post = new ActuatorPostRequest();
        post.setEndpoint("/echo");
        post.setBody(Map.of("level", "debug"));
        Object answer = client.postToActuator(RELEASE, app.getDeploymentId(), guid, post);
        holds("what was posted: " + answer, String.valueOf(answer).contains("debug"));
    }

    private void upgrade() throws Exception {
        Release begun = client.upgrade(upgradeTo("2.0.0", "", false));
        same("version", 2, begun.getVersion());
        same("status", StatusCode.UNKNOWN, begun.getInfo().getStatus().getStatusCode());
        same("description", "Upgrade install underway", begun.getInfo().getDescription());
        ends(2, StatusCode.DEPLOYED, "Upgrade complete");
        ends(1, StatusCode.DELETED, "Delete complete");
        runs(2, 1);
    }

    private void upgradeWithoutDifference() {
        SkipperException same = refused(SkipperException.class, () -> client.upgrade(upgradeTo("2.0.0", "", false)));
        holds("it says why: " + same.getMessage(), same.getMessage().contains("has no difference"));
    }

    private void history() {
        var versions = client.history(RELEASE).stream().map(Release::getVersion).toList();
        same("versions, newest first", List.of(2, 1), versions);
    }

    private void rollback() throws Exception {
        Release begun = client.rollback(new RollbackRequest(RELEASE, 0));
        same("version", 3, begun.getVersion());
        becomes("version 3", StatusCode.DEPLOYED, () -> code(3));
        becomes("version 2", StatusCode.DELETED, () -> code(2));
        same("the manifest is version 1's", client.manifest(RELEASE, 1), client.manifest(RELEASE, 3));
        runs(3, 1);
    }

    private void force() throws Exception {
        same("version", 4, client.upgrade(upgradeTo("1.0.0", "", true)).getVersion());
        becomes("version 4", StatusCode.DEPLOYED, () -> code(4));
        runs(4, 1);
    }

    private void scale() throws Exception {
        client.scale(RELEASE, ScaleRequest.of("app", 2));
        runs(4, 2);
        client.scale(RELEASE, ScaleRequest.of("app", 1));
        runs(4, 1);
    }

    private void cancel() throws Exception {
        same("accepted while nothing is under way", false, client.cancel(new CancelRequest(RELEASE)).getAccepted());
        same("version", 5, client.upgrade(upgradeTo("1.0.0", property("app.mode", "mute"), false)).getVersion());
        becomes("the cancelling is accepted", true, () -> client.cancel(new CancelRequest(RELEASE)).getAccepted());
        becomes("version 5", StatusCode.FAILED, () -> code(5));
        String why = client.status(RELEASE, 5).getDescription();
        holds("it says so: " + why, why.startsWith("Cancelled after "));
        same("version 4", StatusCode.DEPLOYED, code(4));
    }

    private void failingUpgrade() throws Exception {
        UpgradeRequest request = upgradeTo("1.0.0", property("app.mode", "mute"), false);
        request.setTimeout(2000L);
        same("version", 6, client.upgrade(request).getVersion());
        ends(6, StatusCode.FAILED, "Did not detect apps in replacing release as healthy after 2000 ms.");
        same("version 4", StatusCode.DEPLOYED, code(4));
        same("instances of version 4", DeploymentState.deployed, stateOf(client.status(RELEASE, 4)));
    }

    private void deletePackageInUse() {
        PackageDeleteException used = refused(PackageDeleteException.class, () -> client.packageDelete("app"));
        holds("it names the release: " + used.getMessage(), used.getMessage().contains("Active Releases [web]"));
    }

    private void delete() throws Exception {
        client.delete(RELEASE, false);
        same("version 4", StatusCode.DELETED, code(4));
        same("deployed releases", 0L, client.list(null).stream()
                .filter(it -> it.getInfo().getStatus().getStatusCode() == StatusCode.DEPLOYED).count());
    }

    private void rollbackDeleted() throws Exception {
        Release back = client.rollback(new RollbackRequest(RELEASE, 1));
        same("version", 7, back.getVersion());
        becomes("version 7", StatusCode.DEPLOYED, () -> code(7));
        runs(7, 1);
    }

    private void deleteWithPackage() {
        client.delete(RELEASE, true);
        same("packages left", List.of(), names(client.search(null, true)));
        same("version 7", StatusCode.DELETED, code(7));
    }

    private void deletePackage() throws Exception {
        client.upload(packages.upload(packages.single("app", "1.0.0", resource, Map.of())));
        client.packageDelete("app");
        same("packages left", List.of(), names(client.search(null, true)));
        SkipperException gone = refused(SkipperException.class, () -> client.packageDelete("app"));
        same("why not twice", "Can not find a package named 'app'", gone.getMessage());
    }

    private void unknown() {
        var gone = refused(ReleaseNotFoundException.class, () -> client.status("nobody"));
        same("whom it names", "nobody", gone.getReleaseName());
        refused(ReleaseNotFoundException.class, () -> client.manifest("nobody", 3));
        refused(ReleaseNotFoundException.class, () -> client.delete("nobody", false));
        refused(SkipperException.class, () -> client.install(request("9.9.9", "")));
        same("cancelling nobody's", false, client.cancel(new CancelRequest("nobody")).getAccepted());
    }

    private void ends(int version, StatusCode code, String description) throws Exception {
        becomes("version " + version, code, () -> code(version));
        same("its description", description, client.status(RELEASE, version).getDescription());
    }

    private StatusCode code(int version) {
        return client.status(RELEASE, version).getStatus().getStatusCode();
    }

    /** Waits until so many instances of that version run and nothing else is said of them. */
    private void runs(int version, int count) throws Exception {
        becomes("instances that run", count, () -> {
            Info now = client.status(RELEASE, version);
            boolean all = stateOf(now) == DeploymentState.deployed;
            return all ? instances(now).size() : -1;
        });
    }

    private static DeploymentState stateOf(Info info) {
        return info.getStatus().getAppStatusList().get(0).getState();
    }

    private static Collection<AppInstanceStatus> instances(Info info) {
        return info.getStatus().getAppStatusList().get(0).getInstances().values();
    }

    private static String property(String name, String value) {
        return "spec:\n  applicationProperties:\n    " + name + ": " + value + "\n";
    }

    private static PackageIdentifier identifier(String version) {
        PackageIdentifier identifier = new PackageIdentifier();
        identifier.setPackageName("app");
        identifier.setPackageVersion(version);
        return identifier;
    }

    private static ConfigValues values(String yaml) {
        ConfigValues values = new ConfigValues();
        values.setRaw(yaml);
        return values;
    }

    private static InstallRequest request(String version, String yaml) {
        InstallProperties properties = new InstallProperties();
        properties.setReleaseName(RELEASE);
        properties.setPlatformName("default");
        properties.setConfigValues(values(yaml));
        InstallRequest request = new InstallRequest();
        request.setPackageIdentifier(identifier(version));
        request.setInstallProperties(properties);
        return request;
    }

    private static UpgradeRequest upgradeTo(String version, String yaml, boolean force) {
        UpgradeProperties properties = new UpgradeProperties();
        properties.setReleaseName(RELEASE);
        properties.setConfigValues(values(yaml));
        UpgradeRequest request = new UpgradeRequest();
        request.setPackageIdentifier(identifier(version));
        request.setUpgradeProperties(properties);
        request.setForce(force);
        request.setAppNames(List.of());
        return request;
    }
}
