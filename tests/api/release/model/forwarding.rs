//! A deployer that does nothing itself: it sends each call to a URL, and answers what
//! it is answered there.

use chandlery_tests::guest::Wat;

/// The component. A call is sent as a line for the call, for the account's
/// settings, the operation, the handle or else the release and the application, and the
/// number of instances as a byte. The answer is a letter and a handle.
pub(super) fn forwarding(url: &str) -> Vec<u8> {
    // An operation's id is the last of the scope's four texts.
    let begin = |word: i32, length: i32| {
        format!(
            "(call $begin (i32.const {word}) (i32.const {length}))
             (call $put (local.get $p4) (local.get $p5))
             (call $put (local.get $p6) (local.get $p7))"
        )
    };
    let handle = "(call $put (local.get $p8) (local.get $p9))";
    // In memory: the scope has 32 bytes, the application is behind it.
    let deploy = "(local $said i32)
         (call $begin (i32.const 1040) (i32.const 6))
         (call $put (i32.load offset=16 (local.get $p0)) (i32.load offset=20 (local.get $p0)))
         (call $put (i32.load offset=24 (local.get $p0)) (i32.load offset=28 (local.get $p0)))
         (call $put (i32.load offset=32 (local.get $p0)) (i32.load offset=36 (local.get $p0)))
         (call $put (i32.load offset=52 (local.get $p0)) (i32.load offset=56 (local.get $p0)))
         (call $count (i32.load offset=144 (local.get $p0)))
         (local.set $said (call $ask))
         (call $placement (local.get $said))";
    let validate = format!(
        "(if (i32.eqz (local.get $p9)) (then (return (i32.const 0))))
         {}
         (call $put (i32.load (local.get $p8)) (i32.load offset=4 (local.get $p8)))
         (call $put (i32.load offset=20 (local.get $p8)) (i32.load offset=24 (local.get $p8)))
         (drop (call $ask))
         (i32.const 0)",
        begin(1024, 8)
    );
    let undeploy = format!(
        "(local $said i32) {}{handle} (local.set $said (call $ask))
         (call $answer (i32.const 0) (local.get $said))
         (i32.const 0)",
        begin(1056, 8)
    );
    let scale = format!(
        "(local $said i32) {}{handle} (call $count (local.get $p10))
         (local.set $said (call $ask))
         (call $placement (local.get $said))",
        begin(1072, 5)
    );
    let status = format!(
        "(local $out i32) (local $i i32) (local $said i32)
         (local.set $out (call $alloc (i32.mul (local.get $p9) (i32.const 44))))
         (block $done
           (loop $next
             (br_if $done (i32.ge_u (local.get $i) (local.get $p9)))
             {}
             (call $put
               (i32.load (i32.add (local.get $p8) (i32.mul (local.get $i) (i32.const 8))))
               (i32.load offset=4 (i32.add (local.get $p8) (i32.mul (local.get $i) (i32.const 8)))))
             (local.set $said (call $ask))
             (call $answer
               (i32.add (local.get $out) (i32.mul (local.get $i) (i32.const 44)))
               (local.get $said))
             (local.set $i (i32.add (local.get $i) (i32.const 1)))
             (br $next)))
         (i32.store (i32.const 0) (local.get $out))
         (i32.store (i32.const 4) (local.get $p9))
         (i32.const 0)",
        begin(1088, 6)
    );
    Wat::new("deployment-platform")
        .import("http", "send")
        .on("deployer#supports", "(i32.const 0)")
        .on("deployer#validate", &validate)
        .on("deployer#deploy", deploy)
        .on("deployer#undeploy", &undeploy)
        .on("deployer#scale", &scale)
        .on("deployer#status", &status)
        .data(1024, b"validate")
        .data(1040, b"deploy")
        .data(1056, b"undeploy")
        .data(1072, b"scale")
        .data(1088, b"status")
        .data(1104, b"POST")
        .data(1120, b"it is told to fail")
        .data(2048, url.as_bytes())
        .module(&FORWARDING.replace("URL_BYTES", &url.len().to_string()))
        .component()
}

const FORWARDING: &str = r#"
(global $out (mut i32) (i32.const 0))
(global $end (mut i32) (i32.const 0))
(global $body (mut i32) (i32.const 0))
(global $size (mut i32) (i32.const 0))
(func $begin (param $at i32) (param $size i32)
  (global.set $out (call $alloc (i32.const 4096)))
  (global.set $end (global.get $out))
  (call $put (local.get $at) (local.get $size)))
(func $put (param $at i32) (param $size i32)
  (memory.copy (global.get $end) (local.get $at) (local.get $size))
  (global.set $end (i32.add (global.get $end) (local.get $size)))
  (i32.store8 (global.get $end) (i32.const 10))
  (global.set $end (i32.add (global.get $end) (i32.const 1))))
(func $count (param $count i32)
  (i32.store8 (global.get $end) (local.get $count))
  (global.set $end (i32.add (global.get $end) (i32.const 1))))
(func $ask (result i32)
  (local $to i32) (local $said i32)
  (local.set $to (call $alloc (i32.const 32)))
  (call $http-send
    (i32.const 1104) (i32.const 4) (i32.const 2048) (i32.const URL_BYTES)
    (i32.const 0) (i32.const 0)
    (i32.const 1) (global.get $out) (i32.sub (global.get $end) (global.get $out))
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
    (local.get $to))
  (if (i32.load8_u (local.get $to)) (then (unreachable)))
  (global.set $body (i32.load offset=16 (local.get $to)))
  (local.set $said (i32.load8_u (global.get $body)))
  (global.set $body (i32.add (global.get $body) (i32.const 1)))
  (global.set $size (i32.sub (i32.load offset=20 (local.get $to)) (i32.const 1)))
  (if (i32.eq (local.get $said) (i32.const 84)) (then (unreachable)))
  (local.get $said))
(func $failed (param $to i32) (param $said i32) (result i32)
  (if (i32.lt_u (local.get $said) (i32.const 80)) (then (return (i32.const 0))))
  (i32.store8 (local.get $to) (i32.const 1))
  (i32.store offset=4 (local.get $to) (i32.const 1120))
  (i32.store offset=8 (local.get $to) (i32.const 18))
  (i32.store offset=12 (local.get $to) (i32.const 1120))
  (i32.store offset=16 (local.get $to) (i32.const 18))
  (i32.store8 offset=20 (local.get $to) (i32.eq (local.get $said) (i32.const 82)))
  (i32.const 1))
(func $status (param $to i32) (param $said i32)
  (i32.store (local.get $to) (i32.add (global.get $body) (i32.const 1)))
  (i32.store offset=4 (local.get $to) (i32.sub (global.get $size) (i32.const 2)))
  (i32.store8 offset=8 (local.get $to) (i32.sub (local.get $said) (i32.const 48))))
(func $answer (param $to i32) (param $said i32)
  (if (call $failed (local.get $to) (local.get $said)) (then (return)))
  (call $status (i32.add (local.get $to) (i32.const 4)) (local.get $said)))
(func $placement (param $said i32) (result i32)
  (if (call $failed (i32.const 0) (local.get $said)) (then (return (i32.const 0))))
  (i32.store (i32.const 4) (global.get $body))
  (i32.store (i32.const 8) (global.get $size))
  (call $status (i32.const 12) (local.get $said))
  (i32.const 0))
"#;
