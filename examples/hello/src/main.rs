//! The application: says hello over HTTP, and knows nothing of Chandlery.
//!
//! It listens where `PORT` says and says what `GREETING` says, as a program would
//! that was written for any platform.

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

fn main() -> io::Result<()> {
    let port = env::var("PORT").ok().and_then(|it| it.parse().ok()).unwrap_or(8080);
    let greeting = env::var("GREETING").unwrap_or_else(|_| "Hello".to_owned());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    println!("saying `{greeting}` on http://{}", listener.local_addr()?);
    for stream in listener.incoming().flatten() {
        let greeting = greeting.clone();
        // One visitor's trouble is not the next one's.
        thread::spawn(move || answer(&stream, &greeting));
    }
    Ok(())
}

fn answer(mut stream: &TcpStream, greeting: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    println!("{request}");
    let body = format!("{greeting}\n");
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}
