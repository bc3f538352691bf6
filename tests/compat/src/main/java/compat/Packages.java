package compat;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

import org.springframework.cloud.skipper.domain.ConfigValues;
import org.springframework.cloud.skipper.domain.Package;
import org.springframework.cloud.skipper.domain.PackageMetadata;
import org.springframework.cloud.skipper.domain.Template;
import org.springframework.cloud.skipper.domain.UploadRequest;
import org.springframework.cloud.skipper.io.DefaultPackageWriter;

/** Packages as the original's own writer makes them, which is how Data Flow sends them. */
final class Packages {
    private final Template template;
    private final Path folder;

    Packages(Template template, Path folder) {
        this.template = template;
        this.folder = folder;
    }

    /** A package of one application. */
    Package single(String name, String version, String resource, Map<String, String> properties) {
        Package made = described(name, version);
        made.setTemplates(List.of(template));
        ConfigValues values = new ConfigValues();
        values.setRaw(values(name, version, resource, properties));
        made.setConfigValues(values);
        made.setDependencies(new ArrayList<>());
        return made;
    }

    /** A package that holds others and has nothing of its own: a stream. */
    Package stream(String name, String version, List<Package> applications) {
        Package made = described(name, version);
        made.setTemplates(new ArrayList<>());
        ConfigValues values = new ConfigValues();
        values.setRaw("");
        made.setConfigValues(values);
        made.setDependencies(applications);
        return made;
    }

    /** The request that carries it. */
    UploadRequest upload(Package made) throws IOException {
        File zip = new DefaultPackageWriter().write(made, folder.toFile());
        UploadRequest request = new UploadRequest();
        request.setName(made.getMetadata().getName());
        request.setVersion(made.getMetadata().getVersion());
        request.setRepoName("local");
        request.setExtension("zip");
        request.setPackageFileAsBytes(Files.readAllBytes(zip.toPath()));
        return request;
    }

    private static Package described(String name, String version) {
        PackageMetadata metadata = new PackageMetadata();
        metadata.setApiVersion("skipper.spring.io/v1");
        metadata.setKind("SpringCloudDeployerApplication");
        metadata.setName(name);
        metadata.setVersion(version);
        metadata.setMaintainer("compat");
        Package made = new Package();
        made.setMetadata(metadata);
        return made;
    }

    private static String values(String name, String version, String resource, Map<String, String> properties) {
        StringBuilder text = new StringBuilder();
        text.append("\"metadata\":\n  \"name\": \"").append(name).append("\"\n");
        text.append("\"spec\":\n  \"resource\": \"").append(resource).append("\"\n");
        text.append("  \"version\": \"").append(version).append("\"\n");
        text.append("  \"applicationProperties\":\n    \"app.version\": \"").append(version).append("\"\n");
        properties.forEach((key, value) ->
                text.append("    \"").append(key).append("\": \"").append(value).append("\"\n"));
        text.append("  \"deploymentProperties\":\n    \"spring.cloud.deployer.memory\": \"64m\"\n");
        return text.toString();
    }
}
