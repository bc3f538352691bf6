package compat;

import java.nio.file.Files;
import java.nio.file.Path;

import com.fasterxml.jackson.databind.ObjectMapper;
import org.springframework.cloud.skipper.client.DefaultSkipperClient;
import org.springframework.cloud.skipper.client.SkipperClient;
import org.springframework.cloud.skipper.client.SkipperClientResponseErrorHandler;
import org.springframework.web.client.RestTemplate;

/**
 * Puts the original's own client to a server of ours and does with it what the shell's
 * sixteen commands and Data Flow do. What either reads is looked at.
 *
 * <p>Arguments: the server's program, and a folder with {@code app-1.0.0.jar} and
 * {@code app-2.0.0.jar}.
 */
public final class Compat {
    public static void main(String[] arguments) throws Exception {
        Path binary = Path.of(arguments[0]);
        Path applications = Path.of(arguments[1]).toAbsolutePath();
        Path folder = Files.createTempDirectory("compat");
        String settings = """
                [resources]
                file_roots = ["%s"]

                [releases]
                health_check_ms = 250
                """.formatted(applications);
        Checks checks = new Checks();
        try (Server server = new Server(binary, folder, settings)) {
            SkipperClient client = client(server.api());
            Packages packages = new Packages(client.getSpringCloudDeployerApplicationTemplate(), folder);
            String resource = "file://" + applications.resolve("app");
            new Shell(client, packages, resource).walk(checks);
            new DataFlow(client, packages, resource).walk(checks);
            if (!checks.tell()) {
                System.out.println(server.logged());
                System.exit(1);
            }
        }
    }

    /** The client as both put it together: refusals come as the original's own exceptions. */
    private static SkipperClient client(String api) {
        RestTemplate http = new RestTemplate();
        http.setErrorHandler(new SkipperClientResponseErrorHandler(new ObjectMapper()));
        return new DefaultSkipperClient(api, http);
    }
}
