import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What the releases of this comparison run: an application as Spring Boot would make
 * it, as far as a deployer can tell. It reads its port and settings where such
 * applications do, and answers like their actuator.
 */
public final class App {
    private static final String SETTINGS =
            System.getenv().getOrDefault("SPRING_APPLICATION_JSON", "{}");

    public static void main(String[] arguments) throws IOException {
        String mode = setting("app.mode", "serve");
        System.out.println("started, mode " + mode);
        InetAddress loopback = InetAddress.getByName("127.0.0.1");
        int port = Integer.parseInt(setting("server.port", "8080"));
        if (mode.equals("mute")) {
            // Runs, and never gets healthy.
            sleepForGood();
        }
        HttpServer server = HttpServer.create(new InetSocketAddress(loopback, port), 16);
        server.createContext("/", exchange -> answer(exchange, "hello"));
        server.createContext("/actuator/health", it -> answer(it, "{\"status\":\"UP\"}"));
        server.createContext("/actuator/info", it -> answer(it, "{\"version\":\"" + setting("app.version", "?") + "\"}"));
        server.createContext("/actuator/echo", App::echo);
        server.start();
        System.out.println("listening on " + port);
    }

    private static void sleepForGood() {
        while (true) {
            try {
                Thread.sleep(1000);
            } catch (InterruptedException e) {
                return;
            }
        }
    }

    private static void echo(HttpExchange exchange) throws IOException {
        answer(exchange, new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8));
    }

    private static void answer(HttpExchange exchange, String text) throws IOException {
        byte[] body = text.getBytes(StandardCharsets.UTF_8);
        String type = text.startsWith("{") ? "application/json" : "text/plain";
        exchange.getResponseHeaders().set("Content-Type", type);
        exchange.sendResponseHeaders(200, body.length);
        try (var out = exchange.getResponseBody()) {
            out.write(body);
        }
    }

    /** One member of the flat object of texts and numbers that Spring Boot would read. */
    private static String setting(String name, String otherwise) {
        Pattern member = Pattern.compile("\"" + Pattern.quote(name) + "\"\\s*:\\s*\"?([^\",}]*)");
        Matcher found = member.matcher(SETTINGS);
        return found.find() ? found.group(1) : otherwise;
    }
}
