package compat;

import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;

/** What was looked at, and what came of it. */
final class Checks {
    private static final long PATIENCE_SECONDS = 60;

    private int passed;
    private int failed;

    /** Does one thing that a user would do. The next ones go on whatever comes of it. */
    void step(String what, Step step) {
        try {
            step.take();
            passed++;
            System.out.println("ok      " + what);
        } catch (Throwable e) {
            failed++;
            System.out.println("FAILED  " + what + ": " + e);
        }
    }

    static void same(String what, Object expected, Object seen) {
        if (!Objects.equals(expected, seen)) {
            throw new AssertionError(what + " is `" + seen + "`, and should be `" + expected + "`");
        }
    }

    static void holds(String what, boolean it) {
        if (!it) {
            throw new AssertionError(what);
        }
    }

    /** Asks until the answer is as it should be. */
    static <T> void becomes(String what, T expected, Callable<T> ask) throws Exception {
        long until = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
        T seen = ask.call();
        while (!Objects.equals(expected, seen)) {
            if (System.nanoTime() > until) {
                same(what, expected, seen);
            }
            Thread.sleep(100);
            seen = ask.call();
        }
    }

    /** Does what should be refused, and gives the refusal. */
    static <E extends Throwable> E refused(Class<E> as, Step step) {
        try {
            step.take();
        } catch (Throwable e) {
            if (as.isInstance(e)) {
                return as.cast(e);
            }
            throw new AssertionError("refused as " + e + ", and should be as " + as.getName(), e);
        }
        throw new AssertionError("not refused, and should be with " + as.getName());
    }

    /** The line that says it all, and whether all is well. */
    boolean tell() {
        System.out.println();
        System.out.println(passed + " passed, " + failed + " failed");
        return failed == 0 && passed > 0;
    }

    interface Step {
        void take() throws Exception;
    }
}
