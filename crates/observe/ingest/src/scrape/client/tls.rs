//! `tls_config`: whom the client trusts, and how it proves itself.

use std::path::Path;
use std::sync::Arc;

use kandela_config::http_client::{TlsClient, TlsVersion};
use reqwest::{Certificate, ClientBuilder, Identity};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion};

use super::{ClientError, MAX_FILE, explain, tls_version};

/// PEM text of what the config gives in line or by file.
struct Material {
    ca: Option<String>,
    cert: Option<String>,
    key: Option<String>,
}

pub(super) fn configure(
    mut builder: ClientBuilder,
    tls: &TlsClient,
    http2: bool,
) -> Result<ClientBuilder, ClientError> {
    let material = Material {
        ca: pem(tls.ca.as_deref(), tls.ca_file.as_deref())?,
        cert: pem(tls.cert.as_deref(), tls.cert_file.as_deref())?,
        key: pem(tls.key.as_ref().map(|key| key.expose()), tls.key_file.as_deref())?,
    };
    if let Some(name) = tls.server_name.as_deref().filter(|_| !tls.insecure_skip_verify) {
        return Ok(builder.tls_backend_preconfigured(named(tls, &material, name, http2)?));
    }
    let refused = |error: reqwest::Error| ClientError::Tls(explain(&error));
    if let Some(ca) = &material.ca {
        let certificates = Certificate::from_pem_bundle(ca.as_bytes()).map_err(refused)?;
        if certificates.is_empty() {
            return Err(ClientError::Tls("ca holds no certificate; give it in PEM".to_owned()));
        }
        builder = builder.tls_certs_only(certificates);
    }
    if let (Some(cert), Some(key)) = (&material.cert, &material.key) {
        let identity = Identity::from_pem(format!("{key}\n{cert}").as_bytes()).map_err(refused)?;
        builder = builder.identity(identity);
    }
    if let Some(version) = tls.min_version {
        builder = builder.tls_version_min(tls_version(version));
    }
    if let Some(version) = tls.max_version {
        builder = builder.tls_version_max(tls_version(version));
    }
    Ok(builder.tls_danger_accept_invalid_certs(tls.insecure_skip_verify))
}

fn pem(text: Option<&str>, file: Option<&Path>) -> Result<Option<String>, ClientError> {
    let Some(path) = file.filter(|_| text.is_none()) else { return Ok(text.map(str::to_owned)) };
    let failed = |source| ClientError::File { path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(failed)?.len() > MAX_FILE {
        return Err(ClientError::FileSize { path: path.to_owned() });
    }
    std::fs::read_to_string(path).map(Some).map_err(failed)
}

/// The TLS settings of a client whose servers must prove to be `name`, whatever they were reached as.
fn named(tls: &TlsClient, material: &Material, name: &str, http2: bool) -> Result<ClientConfig, ClientError> {
    let wrong = |error: &dyn std::fmt::Display| ClientError::Tls(error.to_string());
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = NamedVerifier {
        name: ServerName::try_from(name.to_owned())
            .map_err(|error| wrong(&format_args!("server_name {name:?}: {error}")))?,
        inner: verifier(material, &provider)?,
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(tls))
        .map_err(|error| wrong(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match (&material.cert, &material.key) {
        (Some(cert), Some(key)) => {
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
                .map_err(|error| wrong(&format_args!("key: {error}")))?;
            builder.with_client_auth_cert(certificates(cert)?, key).map_err(|error| wrong(&error))?
        }
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols =
        if http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] };
    Ok(config)
}

fn verifier(
    material: &Material,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, ClientError> {
    let wrong = |error: &dyn std::fmt::Display| ClientError::Tls(format!("ca: {error}"));
    let Some(ca) = &material.ca else {
        let system =
            rustls_platform_verifier::Verifier::new(provider.clone()).map_err(|error| wrong(&error))?;
        return Ok(Arc::new(system));
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots.add(certificate).map_err(|error| wrong(&error))?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    Ok(verifier.map_err(|error| wrong(&error))?)
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| ClientError::Tls(format!("certificate: {error}")))
}

fn versions(tls: &TlsClient) -> Vec<&'static SupportedProtocolVersion> {
    let at_least = tls.min_version.unwrap_or(TlsVersion::Tls10);
    let at_most = tls.max_version.unwrap_or(TlsVersion::Tls13);
    [(TlsVersion::Tls12, &rustls::version::TLS12), (TlsVersion::Tls13, &rustls::version::TLS13)]
        .into_iter()
        .filter(|(version, _)| (at_least..=at_most).contains(version))
        .map(|(_, supported)| supported)
        .collect()
}

/// Verifies certificates for one name, in place of the one in the URL.
#[derive(Debug)]
struct NamedVerifier {
    name: ServerName<'static>,
    inner: Arc<dyn ServerCertVerifier>,
}

impl ServerCertVerifier for NamedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.inner.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
