use std::net::Ipv4Addr;

use super::*;

const DELAY: Duration = Duration::from_millis(5);

fn pair() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let one = TcpStream::connect(listener.local_addr()?)?;
    Ok((one, listener.accept()?.0))
}

#[test]
fn bytes_arrive_later_and_whole_and_then_the_end() -> Result<()> {
    let ((mut client, from), (to, mut server)) = (pair()?, pair()?);
    let begun = Moment::now();
    carry(from, to, DELAY, begun + DELAY * 3)?;
    let sent: Vec<u8> = (0..=u8::MAX).cycle().take(CHUNK * 3 + 7).collect();
    client.write_all(&sent)?;
    client.shutdown(Shutdown::Write)?;
    let mut first = [0];
    server.read_exact(&mut first)?;
    assert!(begun.elapsed() >= DELAY * 3, "the first of a connection");
    let mut got = first.to_vec();
    server.read_to_end(&mut got)?;
    assert_eq!(got, sent);
    Ok(())
}

#[test]
fn who_is_hung_up_on_reads_the_end() -> Result<()> {
    let (mut client, near) = pair()?;
    let ways = Ways::default();
    lock(&ways.open).push(near);
    ways.close_all();
    assert_eq!(client.read(&mut [0])?, 0);
    assert!(lock(&ways.open).is_empty());
    Ok(())
}
