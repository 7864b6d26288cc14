//! What the servers serve: the tutorial's page, which tells them apart.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{
    clock::poll,
    host::Host,
    network::Server,
    process::HostProcess,
    service::{Service, listen},
};

/// Longest that the web server may take to answer after its start.
const STARTING: Duration = Duration::from_secs(10);

/// One process, so that a kill of it is the end of the site.
const NGINX_CONF: &str = "\
master_process off;
daemon off;
pid /run/nginx.pid;
error_log stderr warn;
events {}
http {
    access_log off;
    server {
        listen 80;
        root /var/www/html;
        default_type text/html;
    }
}
";

/// A server's site, until it is dropped.
#[derive(Debug)]
pub struct Site {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Nginx { _process: HostProcess },
    BuiltIn { _service: Service },
}

impl Site {
    /// Serves the server's page on its host's port 80, by nginx if it is installed.
    pub fn start(host: &Host, server: Server) -> Result<Self> {
        let page = page(server);
        let kind = if host.enter(|| Path::new("/usr/sbin/nginx").exists())? {
            host.write_file("/var/www/html/index.html", 0o644, format!("{page}\n"))?;
            host.write_file("/etc/nginx/site.conf", 0o644, NGINX_CONF)?;
            let nginx = host.spawn(host.command("/usr/sbin/nginx").args(["-c", "/etc/nginx/site.conf"]))?;
            wait_until_it_answers(host, &nginx)?;
            Kind::Nginx { _process: nginx }
        } else {
            let listener = listen(host, SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 80))?;
            let service = Service::start(host, "site", move || async move {
                let _ = serve(listener, page).await;
            })?;
            Kind::BuiltIn { _service: service }
        };
        Ok(Self { kind })
    }

    /// What serves it.
    #[must_use]
    pub fn served_by(&self) -> &'static str {
        match self.kind {
            Kind::Nginx { .. } => "nginx",
            Kind::BuiltIn { .. } => "the harness's own server (nginx is not installed)",
        }
    }
}

/// The page of a server.
#[must_use]
pub fn page(server: Server) -> String {
    format!("Server: {}, IP Address: {}", server.name(), server.address())
}

fn wait_until_it_answers(host: &Host, nginx: &HostProcess) -> Result<()> {
    let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 80);
    let answers = host.enter(|| {
        poll(STARTING, || {
            let ended = nginx.exit_status()?;
            ensure!(ended.is_none(), "nginx ended");
            Ok(std::net::TcpStream::connect(address).ok())
        })
    })?;
    answers
        .and_then(|stream| stream.context("nginx does not answer"))
        .map(|_| ())
        .with_context(|| format!("{}: {}", host.name(), host.log()))
}

async fn serve(listener: std::net::TcpListener, page: String) -> Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let answer = format!("HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n{page}\n");
    loop {
        let (mut stream, _) = listener.accept().await?;
        let answer = answer.clone();
        tokio::spawn(async move {
            let mut request = [0; 1024];
            if stream.read(&mut request).await.is_ok() {
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
    }
}
