use std::io::ErrorKind;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::*;

/// A server that sends back what it gets.
async fn echo_server() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.into_split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    address
}

async fn proxy() -> FaultProxy {
    FaultProxy::start(echo_server().await)
}

async fn client(proxy: &FaultProxy) -> TcpStream {
    TcpStream::connect(proxy.address()).await.unwrap()
}

async fn echo(stream: &mut TcpStream, text: &str) -> String {
    stream.write_all(text.as_bytes()).await.unwrap();
    read(stream, text.len()).await
}

async fn read(stream: &mut TcpStream, length: usize) -> String {
    let mut buffer = vec![0; length];
    stream.read_exact(&mut buffer).await.unwrap();
    String::from_utf8(buffer).unwrap()
}

/// Whether nothing has arrived. Exact only once the proxy has said that it holds what would.
fn is_silent(stream: &TcpStream) -> bool {
    stream.try_read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0]).await, Ok(0) | Err(_))
}

#[tokio::test]
async fn bytes_pass_and_are_counted() {
    let proxy = proxy().await;
    let mut stream = client(&proxy).await;

    assert_eq!(echo(&mut stream, "hello").await, "hello");

    let counters = proxy.wait_until(|counters| counters.to_client.passed == 5).await;
    assert_eq!((counters.accepted, counters.open), (1, 1));
    assert_eq!(counters.to_server, Traffic { passed: 5, held: 0 });
    assert_eq!(counters.to_client, Traffic { passed: 5, held: 0 });
}

#[tokio::test]
async fn large_transfers_arrive_whole() {
    let proxy = proxy().await;
    let (mut from, mut to) = client(&proxy).await.into_split();
    let sent: Vec<u8> = (0..8 * 1024 * 1024_u32).map(|index| (index % 251) as u8).collect();

    let copy = sent.clone();
    tokio::spawn(async move {
        to.write_all(&copy).await.unwrap();
    });
    let mut received = Vec::new();
    from.read_to_end(&mut received).await.unwrap();

    assert!(received == sent);
}

#[tokio::test]
async fn a_paused_link_holds_both_ways_and_loses_nothing() {
    let proxy = proxy().await;
    let mut stream = client(&proxy).await;
    echo(&mut stream, "up").await;

    proxy.pause();
    stream.write_all(b"late").await.unwrap();
    proxy.wait_until(|counters| counters.to_server.held == 4).await;
    assert!(is_silent(&stream));

    proxy.pass().await;
    assert_eq!(read(&mut stream, 4).await, "late");
}

#[tokio::test]
async fn a_paused_proxy_accepts_and_stays_silent() {
    let proxy = proxy().await;
    proxy.pause();

    let accepted = proxy.accepted();
    let mut stream = client(&proxy).await;
    accepted.await;
    stream.write_all(b"x").await.unwrap();
    proxy.wait_until(|counters| counters.to_server.held == 1).await;
    assert!(is_silent(&stream));

    proxy.pass().await;
    assert_eq!(read(&mut stream, 1).await, "x");
}

#[tokio::test]
async fn held_bytes_are_bounded_and_the_sender_waits() {
    let proxy = proxy().await;
    let mut stream = client(&proxy).await;
    echo(&mut stream, "up").await;
    proxy.set(Direction::ToServer, Flow::Hold);

    // Far more than the proxy and both sockets hold.
    let sent = vec![b'x'; 64 * 1024 * 1024];
    let (mut from, mut to) = stream.split();
    let mut received = vec![0; sent.len()];
    let write = to.write_all(&sent);
    let release = async {
        let counters = proxy.wait_until(|counters| counters.to_server.held >= 1024 * 1024).await;
        assert!(counters.to_server.held < 1024 * 1024 + 16 * 1024);
        proxy.pass().await;
    };
    let (written, (), read) = tokio::join!(write, release, from.read_exact(&mut received));

    written.unwrap();
    read.unwrap();
    assert!(received == sent);
}

#[tokio::test]
async fn a_one_way_cut_holds_only_its_direction() {
    let proxy = proxy().await;
    let mut stream = client(&proxy).await;
    echo(&mut stream, "up").await;

    proxy.set(Direction::ToClient, Flow::Hold);
    stream.write_all(b"ask").await.unwrap();
    let counters = proxy.wait_until(|counters| counters.to_client.held == 3).await;
    assert_eq!(counters.to_server, Traffic { passed: 5, held: 0 });
    assert!(is_silent(&stream));

    proxy.set(Direction::ToClient, Flow::Pass);
    assert_eq!(read(&mut stream, 3).await, "ask");
}

#[tokio::test]
async fn a_gate_forces_a_reply_to_come_late() {
    let proxy = proxy().await;
    let mut stream = client(&proxy).await;
    let gate = proxy.hold_replies();

    stream.write_all(b"GET key").await.unwrap();
    gate.wait_until_held(1).await;
    gate.wait_until_holding("key").await;
    assert!(is_silent(&stream));

    gate.release();
    assert_eq!(read(&mut stream, 7).await, "GET key");
}

#[tokio::test]
async fn a_gate_opens_when_it_is_dropped() {
    let proxy = proxy().await;
    let mut stream = client(&proxy).await;

    drop(proxy.hold_requests());

    assert_eq!(echo(&mut stream, "x").await, "x");
}

#[tokio::test]
async fn a_cut_closes_and_refuses_until_passed() {
    let proxy = proxy().await;
    let mut stream = client(&proxy).await;
    echo(&mut stream, "up").await;

    proxy.cut().await;
    assert_eq!(proxy.counters().open, 0);
    assert!(is_closed(&mut stream).await);
    let refused = TcpStream::connect(proxy.address()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);

    proxy.pass().await;
    assert_eq!(echo(&mut client(&proxy).await, "again").await, "again");
}

#[tokio::test]
async fn what_is_held_is_lost_in_a_cut() {
    let proxy = proxy().await;
    let mut stream = client(&proxy).await;
    let gate = proxy.hold_replies();
    stream.write_all(b"lost").await.unwrap();
    gate.wait_until_held(4).await;

    proxy.sever().await;

    assert_eq!(proxy.counters().to_client, Traffic { passed: 0, held: 0 });
    assert!(is_closed(&mut stream).await);
    gate.release();
    assert_eq!(echo(&mut client(&proxy).await, "new").await, "new");
}

#[tokio::test]
async fn refusing_leaves_open_connections_alone() {
    let proxy = proxy().await;
    let mut stream = client(&proxy).await;
    echo(&mut stream, "up").await;

    proxy.refuse().await;

    assert_eq!(TcpStream::connect(proxy.address()).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert_eq!(echo(&mut stream, "still").await, "still");
}

#[tokio::test]
async fn a_delay_is_a_latency_not_a_lower_rate() {
    let proxy = proxy().await;
    let mut stream = client(&proxy).await;
    echo(&mut stream, "up").await;
    let delay = Duration::from_millis(50);
    proxy.set(Direction::ToClient, Flow::Delay(delay));

    let start = Instant::now();
    for sent in 1..=100 {
        stream.write_all(b"x").await.unwrap();
        let arrived =
            |counters: &Counters| counters.to_client.held + counters.to_client.passed == "up".len() as u64 + sent;
        proxy.wait_until(arrived).await;
    }
    read(&mut stream, 100).await;

    assert!(start.elapsed() >= delay);
    assert!(start.elapsed() < delay * 100);
}

#[tokio::test]
async fn a_connection_is_cut_after_so_many_bytes() {
    let proxy = proxy().await;
    let mut stream = client(&proxy).await;
    echo(&mut stream, "up").await;
    proxy.set(Direction::ToClient, Flow::CutAfter(3));

    stream.write_all(b"hello").await.unwrap();

    let mut received = Vec::new();
    // Whether the close is seen as an end or as a reset is up to the kernel; the bytes before it are not.
    let _ = stream.read_to_end(&mut received).await;
    assert_eq!(received, b"hel");
    assert_eq!(proxy.wait_until(|counters| counters.open == 0).await.to_client.passed, 5);

    let mut next = client(&proxy).await;
    assert_eq!(echo(&mut next, "ab").await, "ab");
}

#[tokio::test]
async fn the_end_of_a_connection_reaches_the_other_side() {
    let proxy = proxy().await;
    let mut stream = client(&proxy).await;
    echo(&mut stream, "up").await;

    stream.shutdown().await.unwrap();

    assert!(is_closed(&mut stream).await);
    proxy.wait_until(|counters| counters.open == 0).await;
}

#[tokio::test]
async fn a_dead_server_shows_only_once_the_link_speaks_again() {
    let server = crate::RedisServer::start();
    let proxy = FaultProxy::start(server.address());
    let mut stream = client(&proxy).await;
    stream.write_all(b"PING\r\n").await.unwrap();
    assert_eq!(read(&mut stream, 7).await, "+PONG\r\n");

    proxy.pause();
    server.kill();
    let mut late = client(&proxy).await;
    stream.write_all(b"PING\r\n").await.unwrap();
    proxy.wait_until(|counters| counters.to_server.held == 6 && counters.accepted == 2).await;
    assert!(is_silent(&stream) && is_silent(&late));

    proxy.pass().await;
    assert!(is_closed(&mut stream).await);
    assert!(is_closed(&mut late).await);
}

#[tokio::test]
async fn everything_ends_when_the_proxy_is_dropped() {
    let proxy = proxy().await;
    let address = proxy.address();
    let mut stream = client(&proxy).await;
    echo(&mut stream, "up").await;

    drop(proxy);

    assert!(is_closed(&mut stream).await);
    assert_eq!(TcpStream::connect(address).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn new_connections_are_led_to_the_other_server() {
    let proxy = proxy().await;
    let mut old = client(&proxy).await;
    echo(&mut old, "before").await;
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();

    proxy.lead_to(other.local_addr().unwrap());

    assert_eq!(echo(&mut old, "still").await, "still");
    let _new = client(&proxy).await;
    other.accept().await.unwrap();
    proxy.sever().await;
    assert!(is_closed(&mut old).await);
}
