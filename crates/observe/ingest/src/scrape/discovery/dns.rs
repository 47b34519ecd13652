//! `dns_sd_configs`: names that are looked up. Labels: `__meta_dns_name`, `__meta_dns_srv_record_target`,
//! `__meta_dns_srv_record_port`, `__meta_dns_mx_record_target`, `__meta_dns_ns_record_target`.

use std::collections::BTreeMap;

use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use kandela_config::discovery::{DnsRecord, DnsSd};
use kandela_model::Labels;

use super::{ADDRESS, TargetGroup, Updates, host_port};

/// Looks all names up at every refresh interval, with the system's resolver.
pub(super) async fn run(config: DnsSd, updates: Updates) {
    let resolver = TokioResolver::builder_tokio().and_then(|mut builder| {
        // An answer holds until the next look, however long the record may be kept.
        builder.options_mut().cache_size = 0;
        builder.build()
    });
    match resolver {
        Ok(resolver) => run_with(config, resolver, updates).await,
        Err(error) => {
            tracing::error!(%error, "the system's resolver can't be used; targets by DNS are not found");
        }
    }
}

/// The same with a resolver of one's own.
async fn run_with(config: DnsSd, resolver: TokioResolver, updates: Updates) {
    let mut known: BTreeMap<String, TargetGroup> = BTreeMap::new();
    let mut ticks = tokio::time::interval(config.refresh_interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut is_first = true;
    loop {
        ticks.tick().await;
        let lookups = config.names.iter().map(|name| look_up(&resolver, &config, name));
        let mut changed = std::mem::take(&mut is_first);
        for (name, found) in config.names.iter().zip(futures::future::join_all(lookups).await) {
            match found {
                Ok(group) if known.get(name) != Some(&group) => {
                    known.insert(name.clone(), group);
                    changed = true;
                }
                Ok(_) => {}
                // A name server that is down must not take the targets down with it.
                Err(error) => tracing::warn!(name, %error, "looking targets up failed"),
            }
        }
        if changed {
            updates.send(known.values().cloned().collect());
        }
    }
}

async fn look_up(resolver: &TokioResolver, config: &DnsSd, name: &str) -> Result<TargetGroup, NetError> {
    let record = match config.record {
        DnsRecord::Srv => RecordType::SRV,
        DnsRecord::A => RecordType::A,
        DnsRecord::Aaaa => RecordType::AAAA,
        DnsRecord::Mx => RecordType::MX,
        DnsRecord::Ns => RecordType::NS,
    };
    let mut targets: Vec<Labels> = match resolver.lookup(name, record).await {
        Ok(answer) => {
            answer.answers().iter().filter_map(|record| target(name, config.port, &record.data)).collect()
        }
        // The name exists without such records, or does not exist: it has no targets.
        Err(error) if error.is_no_records_found() => Vec::new(),
        Err(error) => return Err(error),
    };
    // Servers rotate their answers.
    targets.sort();
    Ok(TargetGroup { source: name.to_owned(), targets, labels: Labels::default() })
}

fn target(name: &str, port: u16, record: &RData) -> Option<Labels> {
    let mut labels = vec![("__meta_dns_name", name.to_owned())];
    let address = match record {
        RData::SRV(srv) => {
            labels.push(("__meta_dns_srv_record_target", srv.target.to_ascii()));
            labels.push(("__meta_dns_srv_record_port", srv.port.to_string()));
            host_port(&plain(&srv.target), srv.port)
        }
        RData::MX(mx) => {
            labels.push(("__meta_dns_mx_record_target", mx.exchange.to_ascii()));
            host_port(&plain(&mx.exchange), port)
        }
        RData::NS(ns) => {
            labels.push(("__meta_dns_ns_record_target", ns.0.to_ascii()));
            host_port(&plain(&ns.0), port)
        }
        RData::A(address) => host_port(&address.0.to_string(), port),
        RData::AAAA(address) => host_port(&address.0.to_string(), port),
        _ => return None,
    };
    labels.push((ADDRESS, address));
    Labels::new(labels).ok()
}

/// A name without its final dot.
fn plain(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
    use hickory_resolver::net::runtime::TokioRuntimeProvider;
    use hickory_resolver::proto::op::{Message, ResponseCode};
    use hickory_resolver::proto::rr::Record;
    use hickory_resolver::proto::rr::rdata::{A, AAAA, MX, SRV};
    use hickory_resolver::proto::serialize::binary::{BinDecodable, BinEncodable};
    use tokio::net::UdpSocket;

    use super::*;

    type Zone = Arc<Mutex<Result<Vec<RData>, ResponseCode>>>;

    /// A name server that gives every question the zone's records of the asked type.
    async fn name_server(zone: Zone) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 1_500];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let question = Message::from_bytes(&buffer[..length]).unwrap();
                let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
                answer.add_queries(question.queries.iter().cloned());
                let query = &question.queries[0];
                match &*zone.lock().unwrap() {
                    Ok(records) => {
                        let fitting = records.iter().filter(|data| data.record_type() == query.query_type());
                        answer.add_answers(
                            fitting.map(|data| Record::from_rdata(query.name().clone(), 60, data.clone())),
                        );
                    }
                    Err(code) => answer.metadata.response_code = *code,
                }
                socket.send_to(&answer.to_bytes().unwrap(), from).await.unwrap();
            }
        });
        address
    }

    async fn resolver(zone: Zone) -> TokioResolver {
        let address = name_server(zone).await;
        let mut connection = ConnectionConfig::udp();
        connection.port = address.port();
        let server = NameServerConfig::new(address.ip(), true, vec![connection]);
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        builder.options_mut().cache_size = 0;
        builder.options_mut().attempts = 0;
        builder.build().unwrap()
    }

    fn config(record: DnsRecord) -> DnsSd {
        DnsSd {
            names: vec!["shop.example.".into()],
            refresh_interval: Duration::from_millis(20),
            record,
            port: 9100,
        }
    }

    async fn found(record: DnsRecord, records: Vec<RData>) -> Vec<String> {
        let resolver = resolver(Arc::new(Mutex::new(Ok(records)))).await;
        let group = look_up(&resolver, &config(record), "shop.example.").await.unwrap();
        group.targets.iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn service_records_carry_their_port() {
        let srv = RData::SRV(SRV::new(1, 1, 9090, Name::from_ascii("a.shop.example.").unwrap()));
        assert_eq!(
            found(DnsRecord::Srv, vec![srv]).await,
            [
                r#"{__address__="a.shop.example:9090", __meta_dns_name="shop.example.", __meta_dns_srv_record_port="9090", __meta_dns_srv_record_target="a.shop.example."}"#
            ]
        );
    }

    #[tokio::test]
    async fn addresses_and_mail_exchangers_get_the_configured_port() {
        let records = vec![
            RData::A(A(Ipv4Addr::new(192, 0, 2, 7))),
            RData::AAAA(AAAA(Ipv6Addr::LOCALHOST)),
            RData::MX(MX::new(10, Name::from_ascii("mail.example.").unwrap())),
        ];
        let address = |record, records: Vec<RData>| async move { found(record, records).await.remove(0) };
        assert!(address(DnsRecord::A, records.clone()).await.starts_with(r#"{__address__="192.0.2.7:9100""#));
        assert!(address(DnsRecord::Aaaa, records.clone()).await.starts_with(r#"{__address__="[::1]:9100""#));
        assert_eq!(
            address(DnsRecord::Mx, records).await,
            r#"{__address__="mail.example:9100", __meta_dns_mx_record_target="mail.example.", __meta_dns_name="shop.example."}"#
        );
    }

    #[tokio::test]
    async fn a_name_server_that_fails_keeps_the_targets_and_a_name_that_is_gone_has_none() {
        let zone: Zone = Arc::new(Mutex::new(Ok(vec![RData::A(A(Ipv4Addr::LOCALHOST))])));
        let resolver = resolver(zone.clone()).await;
        let news = Arc::new(tokio::sync::Notify::new());
        let updates = Updates::new(news.clone());
        let running = tokio::spawn(run_with(config(DnsRecord::A), resolver, updates.clone()));
        news.notified().await;
        let targets = || updates.slot.lock().unwrap().iter().map(|group| group.targets.len()).sum::<usize>();
        assert_eq!(targets(), 1);
        *zone.lock().unwrap() = Err(ResponseCode::ServFail);
        assert!(tokio::time::timeout(Duration::from_millis(300), news.notified()).await.is_err());
        *zone.lock().unwrap() = Err(ResponseCode::NXDomain);
        news.notified().await;
        assert_eq!(targets(), 0);
        running.abort();
    }
}
