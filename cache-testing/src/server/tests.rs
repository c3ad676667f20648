use std::net::TcpListener;
use std::time::Duration;

use super::*;

#[test]
fn a_server_answers_and_is_empty() {
    let server = RedisServer::start();

    assert_eq!(server.cli(&["DBSIZE"]), "0");
    assert_eq!(server.cli(&["SET", "k", "v"]), "OK");
    assert_eq!(server.cli(&["GET", "k"]), "v");
    assert_eq!(server.url(), format!("redis://127.0.0.1:{}", server.port()));
    assert!(server.log().contains("Ready to accept connections"));
}

#[test]
fn binary_values_and_error_replies_come_back_as_they_are() {
    let server = RedisServer::start();
    let value = b"\x00\xff\r\n$5";

    server.command(&[b"SET".as_slice(), b"k", value]).unwrap();

    assert_eq!(server.command(&["GET", "k"]).unwrap(), Reply::Bytes(value.to_vec()));
    assert!(matches!(server.command(&["INCR", "k"]).unwrap(), Reply::Error(error) if error.starts_with("ERR ")));
}

#[test]
#[should_panic(expected = "[\"INCR\", \"k\", \"extra\"] failed: ERR wrong number of arguments")]
fn cli_panics_on_an_error_reply() {
    RedisServer::start().cli(&["INCR", "k", "extra"]);
}

#[test]
fn servers_side_by_side_do_not_meet() {
    let servers: Vec<_> = (0..4).map(|_| RedisServer::start()).collect();
    for (index, server) in servers.iter().enumerate() {
        server.cli(&["SET", "index", &index.to_string()]);
    }
    for (index, server) in servers.iter().enumerate() {
        assert_eq!(server.cli(&["GET", "index"]), index.to_string());
    }
}

#[test]
fn a_killed_server_refuses_and_restarts_empty_on_the_same_port() {
    let server = RedisServer::start();
    let port = server.port();
    let mut connection = server.connect().unwrap();
    server.cli(&["SET", "k", "v"]);

    server.kill();
    assert!(!server.is_running());
    assert!(connection.command(&["PING"]).is_err());
    assert_eq!(server.connect().unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    server.kill();

    server.restart();
    assert!(server.is_running());
    assert_eq!(server.port(), port);
    assert_eq!(server.cli(&["DBSIZE"]), "0");
}

#[test]
fn a_running_server_can_be_restarted() {
    let server = RedisServer::start();
    server.cli(&["SET", "k", "v"]);

    server.restart();

    assert_eq!(server.cli(&["DBSIZE"]), "0");
}

#[test]
fn a_server_can_be_rolled_back_to_its_snapshot() {
    let server = RedisServer::start();
    server.cli(&["SET", "k", "before"]);
    server.cli(&["SAVE"]);
    server.cli(&["SET", "k", "after"]);

    server.restart_from_snapshot();

    assert_eq!(server.cli(&["GET", "k"]), "before");
}

#[test]
fn a_server_that_has_left_a_snapshot_restarts_empty_as_well() {
    let server = RedisServer::start();
    server.cli(&["SET", "k", "v"]);
    server.cli(&["SAVE"]);

    server.restart();
    assert_eq!(server.cli(&["DBSIZE"]), "0");
}

#[test]
fn an_append_only_server_keeps_its_writes_over_a_kill() {
    let server = RedisServer::builder().append_only().start();
    server.cli(&["SET", "k", "v"]);

    server.restart();

    assert_eq!(server.cli(&["GET", "k"]), "v");
}

#[test]
fn a_stopped_server_accepts_but_answers_only_when_resumed() {
    let server = RedisServer::start();

    server.stop();
    assert!(server.is_running());
    let port = server.port();
    let (connected, has_connected) = std::sync::mpsc::channel();
    let answer = std::thread::spawn(move || {
        let mut connection = Connection::open(port).unwrap();
        connected.send(()).unwrap();
        connection.command(&["PING"]).unwrap()
    });
    has_connected.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(!answer.is_finished());

    server.resume();
    assert_eq!(answer.join().unwrap(), Reply::Status("PONG".to_owned()));
}

#[test]
fn a_stopped_server_is_gone_after_drop_and_its_directory_with_it() {
    let server = RedisServer::start();
    let (port, directory) = (server.port(), server.directory.path().to_owned());
    assert!(directory.exists());
    server.stop();

    drop(server);

    assert_eq!(Connection::open(port).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    assert!(!directory.exists());
}

#[test]
fn passwords_users_and_directives_are_applied() {
    let server = RedisServer::builder()
        .password("secret")
        .user("reader", "on >pass ~app:* +get")
        .max_memory_bytes(8_000_000)
        .directive("maxmemory-policy", "noeviction")
        .start();

    assert_eq!(server.url(), format!("redis://:secret@127.0.0.1:{}", server.port()));
    assert_eq!(server.cli(&["CONFIG", "GET", "maxmemory"]), "maxmemory\n8000000");
    assert_eq!(server.cli(&["CONFIG", "GET", "maxmemory-policy"]), "maxmemory-policy\nnoeviction");

    let mut stranger = Connection::open(server.port()).unwrap();
    assert!(matches!(stranger.command(&["GET", "app:1"]).unwrap(), Reply::Error(error) if error.starts_with("NOAUTH")));
    assert_eq!(stranger.command(&["AUTH", "reader", "pass"]).unwrap(), Reply::Status("OK".to_owned()));
    assert_eq!(stranger.command(&["GET", "app:1"]).unwrap(), Reply::Nil);
    assert!(matches!(stranger.command(&["GET", "other"]).unwrap(), Reply::Error(error) if error.starts_with("NOPERM")));
}

#[test]
#[should_panic(expected = "Bad directive")]
fn a_server_that_ends_is_reported_with_its_own_words() {
    RedisServer::builder().directive("no-such-directive", "1").start();
}

#[test]
fn a_port_taken_after_its_reservation_is_recognised() {
    let port = Port::reserve();
    let _thief = TcpListener::bind(("127.0.0.1", port.number())).unwrap();
    let directory = tempfile::tempdir().unwrap();

    let failure = launch::launch(&RedisServerBuilder::default(), directory.path(), port.number());

    assert!(matches!(failure, Err(launch::Failure::PortTaken)), "{failure:?}");
}

#[test]
fn the_monitor_reports_exactly_what_was_executed() {
    let server = RedisServer::start();
    server.cli(&["SET", "before", "1"]);
    let mut monitor = server.monitor();
    assert_eq!(monitor.commands(), []);

    server.cli(&["SET", "k", "a \"quoted\" value"]);
    server.cli(&["EVAL", "return redis.call('GET', KEYS[1])", "1", "k"]);

    let commands = monitor.commands();
    let names: Vec<_> = commands.iter().map(|command| (command.name(), command.is_from_script())).collect();
    assert_eq!(names, [("SET".to_owned(), false), ("EVAL".to_owned(), false), ("GET".to_owned(), true)]);
    assert_eq!(commands[0].arguments[2], "a \"quoted\" value");
    assert_eq!(monitor.commands(), []);
}
