//! `kubeconfig_file`: the server and the credentials of the current context (Kubernetes documentation, "Organizing Cluster
//! Access Using kubeconfig Files").

use std::path::{Path, PathBuf};

use base64::Engine as _;
use kandela_config::Secret;
use kandela_config::http_client::{Authorization, BasicAuth, HttpClient, TlsClient};
use saphyr::{LoadableYamlNode, Yaml};

/// The API server's URL and how to connect to it.
pub(super) async fn read(path: &Path) -> Result<(String, HttpClient), String> {
    let text =
        tokio::fs::read_to_string(path).await.map_err(|error| format!("{}: {error}", path.display()))?;
    parse(&text, path.parent().unwrap_or(Path::new("")))
        .map_err(|reason| format!("{}: {reason}", path.display()))
}

/// Paths in the file are relative to `folder`.
fn parse(text: &str, folder: &Path) -> Result<(String, HttpClient), String> {
    let documents = Yaml::load_from_str(text).map_err(|error| error.to_string())?;
    let root = documents.first().ok_or("it is empty")?;
    let context_name = string(root, "current-context").ok_or("it has no current-context")?;
    let context = named(root, "contexts", &context_name, "context")?;
    let cluster_name =
        string(context, "cluster").ok_or(format!("context {context_name:?} names no cluster"))?;
    let cluster = named(root, "clusters", &cluster_name, "cluster")?;
    let server = string(cluster, "server").ok_or(format!("cluster {cluster_name:?} has no server"))?;
    let file = |section: &Yaml<'_>, key| string(section, key).map(|path| folder.join(path));
    let mut client = HttpClient {
        tls_config: TlsClient {
            ca: data(cluster, "certificate-authority-data")?,
            ca_file: file(cluster, "certificate-authority"),
            server_name: string(cluster, "tls-server-name"),
            insecure_skip_verify: flag(cluster, "insecure-skip-tls-verify"),
            ..TlsClient::default()
        },
        ..HttpClient::default()
    };
    if let Some(user_name) = string(context, "user") {
        let user = named(root, "users", &user_name, "user")?;
        authenticate(&mut client, user, &file).map_err(|reason| format!("user {user_name:?}: {reason}"))?;
    }
    Ok((server, client))
}

fn authenticate(
    client: &mut HttpClient,
    user: &Yaml<'_>,
    file: &dyn Fn(&Yaml<'_>, &'static str) -> Option<PathBuf>,
) -> Result<(), String> {
    for unserved in ["exec", "auth-provider"] {
        if user.as_mapping_get(unserved).is_some() {
            return Err(format!(
                "{unserved} is not served; give it a token, a tokenFile or a client certificate"
            ));
        }
    }
    let tls = &mut client.tls_config;
    tls.cert = data(user, "client-certificate-data")?;
    tls.cert_file = file(user, "client-certificate");
    tls.key = data(user, "client-key-data")?.map(Secret::new);
    tls.key_file = file(user, "client-key");
    let (token, token_file) = (string(user, "token"), file(user, "tokenFile"));
    if token.is_some() || token_file.is_some() {
        client.authorization = Some(Authorization {
            scheme: "Bearer".to_owned(),
            credentials: token.filter(|_| token_file.is_none()).map(Secret::new),
            credentials_file: token_file,
        });
    } else if let Some(username) = string(user, "username") {
        client.basic_auth = Some(BasicAuth {
            username: Some(username),
            username_file: None,
            password: string(user, "password").map(Secret::new),
            password_file: None,
        });
    }
    Ok(())
}

/// The section `inner` of the item of `list` with that name.
fn named<'a, 'y>(root: &'a Yaml<'y>, list: &str, name: &str, inner: &str) -> Result<&'a Yaml<'y>, String> {
    root.as_mapping_get(list)
        .and_then(|items| items.as_sequence())
        .and_then(|items| items.iter().find(|item| string(item, "name").as_deref() == Some(name)))
        .and_then(|item| item.as_mapping_get(inner))
        .ok_or_else(|| format!("{list} has no {inner} named {name:?}"))
}

fn string(section: &Yaml<'_>, key: &str) -> Option<String> {
    section.as_mapping_get(key)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn flag(section: &Yaml<'_>, key: &str) -> bool {
    section.as_mapping_get(key).and_then(|value| value.as_bool()).unwrap_or(false)
}

/// Base64 of PEM text.
fn data(section: &Yaml<'_>, key: &str) -> Result<Option<String>, String> {
    let Some(encoded) = string(section, key) else { return Ok(None) };
    let decoded = base64::engine::general_purpose::STANDARD
        .decode(encoded.trim())
        .map_err(|error| format!("{key} is not base64: {error}"))?;
    String::from_utf8(decoded).map(Some).map_err(|_| format!("{key} is not PEM"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r"
apiVersion: v1
kind: Config
current-context: prod
contexts:
- {name: test, context: {cluster: c-test, user: u-test}}
- {name: prod, context: {cluster: c-prod, user: u-prod, namespace: shop}}
clusters:
- name: c-prod
  cluster: {server: 'https://10.0.0.1:6443', certificate-authority-data: LS0tQ0EtLS0=, tls-server-name: kube}
- {name: c-test, cluster: {server: 'https://10.0.0.2:6443'}}
users:
- {name: u-prod, user: {client-certificate: pki/me.crt, client-key: /abs/me.key, tokenFile: token}}
- {name: u-test, user: {exec: {command: aws}}}
";

    #[test]
    fn the_current_context_says_server_and_credentials() {
        let (server, client) = parse(FILE, Path::new("/etc/kube")).unwrap();
        assert_eq!(server, "https://10.0.0.1:6443");
        assert_eq!(client.tls_config.ca.as_deref(), Some("---CA---"));
        assert_eq!(client.tls_config.server_name.as_deref(), Some("kube"));
        assert_eq!(client.tls_config.cert_file, Some("/etc/kube/pki/me.crt".into()));
        assert_eq!(client.tls_config.key_file, Some("/abs/me.key".into()));
        assert_eq!(client.authorization.unwrap().credentials_file, Some("/etc/kube/token".into()));
    }

    #[test]
    fn what_is_missing_or_not_served_is_named() {
        let error = |text: &str| parse(text, Path::new("")).unwrap_err();
        assert!(
            error(&FILE.replace("current-context: prod", "current-context: test"))
                .contains("exec is not served")
        );
        assert!(
            error(&FILE.replace("current-context: prod", "current-context: dev"))
                .contains("no context named \"dev\"")
        );
        assert!(
            error(&FILE.replace("LS0tQ0EtLS0=", "???")).contains("certificate-authority-data is not base64")
        );
        assert!(error("a: 1").contains("no current-context"));
    }
}
