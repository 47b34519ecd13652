//! TLS by `rustls`, with certificates that a reload replaces.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Where the certificate and its key lie, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain, the server's own first.
    pub cert: PathBuf,
    /// The private key (PKCS #8, PKCS #1 or SEC 1).
    pub key: PathBuf,
}

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file could not be read, or holds no PEM of the right kind.
    #[error("{what} {path}: {reason}; point kandela.tls at readable PEM files", path = path.display())]
    File {
        /// Which of the two files.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What the PEM reader said.
        reason: String,
    },
    /// Certificate and key were read and cannot be used.
    #[error("certificate {cert} and key {key} cannot be used: {reason}", cert = files.cert.display(), key = files.key.display())]
    Unusable {
        /// Which files.
        files: TlsFiles,
        /// What `rustls` said.
        reason: String,
    },
}

/// Accepts TLS connections with the certificate that is in force.
#[derive(Clone)]
pub(crate) struct TlsAcceptor(Arc<ArcSwap<ServerConfig>>);

impl TlsAcceptor {
    pub(crate) fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(ArcSwap::from_pointee(server_config(files)?))))
    }

    /// Reads the files again. On an error the certificate before stays in force.
    pub(crate) fn reload(&self, files: &TlsFiles) -> Result<(), TlsError> {
        self.0.store(Arc::new(server_config(files)?));
        Ok(())
    }

    pub(crate) fn current(&self) -> tokio_rustls::TlsAcceptor {
        tokio_rustls::TlsAcceptor::from(self.0.load_full())
    }
}

fn server_config(files: &TlsFiles) -> Result<ServerConfig, TlsError> {
    let unreadable =
        |what, path: &Path, reason: String| TlsError::File { what, path: path.to_owned(), reason };
    let chain = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable("certificate", &files.cert, error.to_string()))?;
    if chain.is_empty() {
        return Err(unreadable("certificate", &files.cert, "no certificate in it".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| unreadable("key", &files.key, error.to_string()))?;
    let unusable =
        |error: rustls::Error| TlsError::Unusable { files: files.clone(), reason: error.to_string() };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_or_empty_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let cert = folder.path().join("cert.pem");
        let key = folder.path().join("key.pem");
        let files = TlsFiles { cert: cert.clone(), key };
        let missing = TlsAcceptor::load(&files).err().unwrap().to_string();
        assert!(missing.contains("certificate") && missing.contains("cert.pem"), "{missing}");
        std::fs::write(&cert, "nothing").unwrap();
        let empty = TlsAcceptor::load(&files).err().unwrap().to_string();
        assert!(empty.contains("no certificate in it"), "{empty}");
    }
}
