//! Endpoints that are no service: no change is sent to them.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};

use crate::lab::home::Lab;
use crate::lab::machine::shared;
use crate::lab::plan;

#[test]
fn a_dead_endpoint_is_told_before_the_first_change() {
    let _machine = shared();
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    is_out_of_reach(port);
}

#[test]
fn an_endpoint_that_takes_a_connection_and_never_answers_is_out_of_reach() {
    let _machine = shared();
    // The system accepts connections for a listener that never does.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    is_out_of_reach(listener.local_addr().unwrap().port());
}

#[test]
fn an_endpoint_that_answers_with_pages_is_out_of_reach() {
    let _machine = shared();
    let too_much = " ".repeat(2 << 20);
    for answer in [
        "HTTP/1.1 302 Found\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 18\r\n\r\n<html>login</html>".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned(),
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{too_much}", too_much.len()),
        "SSH-2.0-OpenSSH_9.9\r\n".to_owned(),
    ] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                _ = stream.read(&mut [0; 4096]);
                _ = stream.write_all(answer.as_bytes());
            }
        });
        is_out_of_reach(port);
    }
}

#[track_caller]
fn is_out_of_reach(port: u16) {
    let lab = Lab::new();
    lab.write("plan.csv", &plan(10, "stopped,syncing"));
    let endpoint = format!("http://127.0.0.1:{port}");
    let args = ["run", "plan.csv", "--yes", "--endpoint", &endpoint, "--timeout", "500ms", "--attempts", "2"];
    lab.cutover(&args).exits(8).says("could not be reached").says("nothing was sent by this launch");
    assert_eq!(lab.journal().n_events("attempt_started"), 0);
    assert_eq!(lab.journal().tally()["pending"], 10);
}
