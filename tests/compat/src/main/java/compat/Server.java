package compat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** The real server, as its users start it, over a data folder of its own. */
final class Server implements AutoCloseable {
    private static final Pattern READY = Pattern.compile("listening on (http://[0-9.:]+)");

    private final Path folder;
    private final Path log;
    private final Process process;
    private final String address;

    Server(Path binary, Path folder, String settings) throws IOException, InterruptedException {
        this.folder = folder;
        Path config = folder.resolve("chandlery.toml");
        Files.writeString(config, settings);
        log = folder.resolve("server.log");
        process = new ProcessBuilder(List.of(binary.toString(), "serve", "--listen", "127.0.0.1:0",
                "--data", folder.resolve("data").toString(), "--config", config.toString()))
                .redirectErrorStream(true).redirectOutput(log.toFile()).start();
        address = ready();
    }

    /** Where its API is. */
    String api() {
        return address + "/api";
    }

    private String ready() throws IOException, InterruptedException {
        long until = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (System.nanoTime() < until && process.isAlive()) {
            Matcher found = READY.matcher(Files.readString(log));
            if (found.find()) {
                return found.group(1);
            }
            Thread.sleep(50);
        }
        throw new IOException("the server did not start:\n" + Files.readString(log));
    }

    String logged() throws IOException {
        return Files.readString(log);
    }

    @Override
    public void close() throws IOException, InterruptedException {
        process.destroy();
        if (!process.waitFor(30, TimeUnit.SECONDS)) {
            process.destroyForcibly().waitFor();
        }
        try (Stream<Path> all = Files.walk(folder)) {
            for (Path it : (Iterable<Path>) all.sorted(Comparator.reverseOrder())::iterator) {
                Files.delete(it);
            }
        }
    }
}
