//! Bodies that are written piece by piece on a thread of their own, so that an answer of any size costs little memory, and
//! compressed on the way.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http::HeaderValue;
use http::header::{CONTENT_ENCODING, VARY};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::error::ApiError;
use super::packer::{Encoding, Packer};
use super::spool::{Spool, Spooled};
use crate::turns::somebody_waits;

/// Bytes that are written before they are passed on.
const PIECE: usize = 128 << 10;
/// Pieces that wait for a slow reader.
const WAITING: usize = 2;
/// How long a reader may take no piece before it loses the answer.
const PATIENCE: Duration = Duration::from_secs(300);
/// After what time the rest of the answer goes to a file while others wait for a place or for memory, which it holds.
const PATIENCE_BEFORE_OTHERS: Duration = Duration::from_millis(200);
/// How often a look is taken whether others wait.
const LOOK: Duration = Duration::from_millis(50);
/// Fewer bytes than this are not worth compressing.
const WORTH_COMPRESSING: usize = 1_400;

/// What the writer hands on.
struct Piece {
    bytes: Bytes,
    encoding: Encoding,
    /// Whether it is the whole rest, so that short answers come at once and with their length.
    last: bool,
}

/// Writes a body.
pub(super) struct Pen {
    out: Vec<u8>,
    encoding: Encoding,
    /// There once something was passed on.
    packer: Option<Packer>,
    way: Way,
    spool: Arc<Spool>,
}

/// Where pieces go.
enum Way {
    ToReader(mpsc::Sender<Result<Piece, ApiError>>),
    /// What the reader has not taken in time is in the file.
    ToFile(Spooled, mpsc::Sender<Result<Piece, ApiError>>),
    /// Nobody reads any more.
    Nowhere,
}

impl Pen {
    fn new(encoding: Encoding, spool: Arc<Spool>, pieces: mpsc::Sender<Result<Piece, ApiError>>) -> Self {
        Self { out: Vec::with_capacity(4 << 10), encoding, packer: None, way: Way::ToReader(pieces), spool }
    }

    /// What was not passed on yet; bodies are written by appending to it.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Answers with an error instead; where something was passed on already, the answer breaks off.
    fn fail(self, error: ApiError) {
        if let Way::ToReader(pieces) | Way::ToFile(_, pieces) = self.way {
            let _ = pieces.blocking_send(Err(error));
        }
    }

    /// Passes on what is written once it is enough. Gives whether anybody still reads.
    pub(super) fn pass_on(&mut self) -> bool {
        self.out.len() < PIECE || self.flush()
    }

    /// Passes on what is written. Gives whether anybody still reads.
    pub(super) fn flush(&mut self) -> bool {
        let Self { out, encoding, packer, .. } = self;
        let bytes = packer.get_or_insert_with(|| Packer::new(encoding)).push(out);
        if !bytes.is_empty() {
            let piece = Piece { bytes: bytes.into(), encoding: *encoding, last: false };
            self.way = match std::mem::replace(&mut self.way, Way::Nowhere) {
                Way::ToReader(pieces) => to_reader(pieces, piece, &self.spool),
                Way::ToFile(file, pieces) => to_file(file, pieces, &piece.bytes),
                Way::Nowhere => Way::Nowhere,
            };
        }
        !matches!(self.way, Way::Nowhere)
    }

    fn finish(self) {
        let Self { mut out, mut encoding, packer, way, .. } = self;
        let short = packer.is_none() && out.len() < WORTH_COMPRESSING;
        let (bytes, encoding) = if short {
            (out, Encoding::Identity)
        } else {
            let mut packer = packer.unwrap_or_else(|| Packer::new(&mut encoding));
            let mut packed = packer.push(&mut out);
            packed.extend_from_slice(&packer.finish());
            (packed, encoding)
        };
        let last = |bytes: Vec<u8>| Piece { bytes: bytes.into(), encoding, last: true };
        // Nobody reads it any more where sending fails.
        match way {
            Way::ToReader(pieces) => drop(send(&pieces, last(bytes), || PATIENCE)),
            Way::ToFile(mut file, pieces) => {
                let sent = from_file(&mut file, &pieces, encoding);
                if matches!(sent, Ok(true)) {
                    let _ = send(&pieces, last(bytes), || PATIENCE);
                }
            }
            Way::Nowhere => {}
        }
    }
}

/// Hands a piece to the reader; or to a file, where others wait and the reader does not take it.
fn to_reader(pieces: mpsc::Sender<Result<Piece, ApiError>>, piece: Piece, spool: &Arc<Spool>) -> Way {
    let began = Instant::now();
    let patience = || if somebody_waits() { PATIENCE_BEFORE_OTHERS } else { PATIENCE };
    let piece = match send(&pieces, piece, patience) {
        Sent::Taken => return Way::ToReader(pieces),
        Sent::Left => return Way::Nowhere,
        Sent::NotTaken(piece) => piece,
    };
    let left = PATIENCE.saturating_sub(began.elapsed());
    let filed = spool.file().and_then(|mut file| file.push(&piece.bytes).map(|()| file));
    match filed {
        Ok(file) if !left.is_zero() => Way::ToFile(file, pieces),
        // Where there is no room for a file, the others have to wait.
        _ => match send(&pieces, piece, || left) {
            Sent::Taken => Way::ToReader(pieces),
            Sent::Left | Sent::NotTaken(_) => Way::Nowhere,
        },
    }
}

fn to_file(mut file: Spooled, pieces: mpsc::Sender<Result<Piece, ApiError>>, bytes: &[u8]) -> Way {
    if pieces.is_closed() || file.push(bytes).is_err() {
        return Way::Nowhere;
    }
    Way::ToFile(file, pieces)
}

/// Hands on all that is in the file. Gives whether the reader took it.
fn from_file(
    file: &mut Spooled,
    pieces: &mpsc::Sender<Result<Piece, ApiError>>,
    encoding: Encoding,
) -> io::Result<bool> {
    file.rewind()?;
    loop {
        let bytes = file.next(PIECE)?;
        if bytes.is_empty() {
            return Ok(true);
        }
        let piece = Piece { bytes: bytes.into(), encoding, last: false };
        if !matches!(send(pieces, piece, || PATIENCE), Sent::Taken) {
            return Ok(false);
        }
    }
}

/// What became of a piece.
enum Sent {
    Taken,
    /// The reader is gone.
    Left,
    /// The reader took too long.
    NotTaken(Piece),
}

/// Hands a piece to the reader, who may take as long as `patience` says.
fn send(
    pieces: &mpsc::Sender<Result<Piece, ApiError>>,
    piece: Piece,
    patience: impl Fn() -> Duration,
) -> Sent {
    let began = Instant::now();
    Handle::current().block_on(async {
        loop {
            match tokio::time::timeout(LOOK, pieces.reserve()).await {
                Ok(Ok(place)) => {
                    place.send(Ok(piece));
                    return Sent::Taken;
                }
                Ok(Err(_)) => return Sent::Left,
                Err(_) if began.elapsed() >= patience() => return Sent::NotTaken(piece),
                Err(_) => {}
            }
        }
    })
}

/// Runs `write` on a thread of its own; the response is there as soon as its first piece is. Once the response is dropped,
/// the pen says that nobody reads.
///
/// # Errors
/// What `write` says, or that it broke, before its first piece.
pub(super) async fn stream(
    encoding: Encoding,
    spool: &Arc<Spool>,
    write: impl FnOnce(&mut Pen) -> Result<(), ApiError> + Send + 'static,
) -> Result<Response, ApiError> {
    let (sender, mut pieces) = mpsc::channel(WAITING);
    let spool = spool.clone();
    tokio::task::spawn_blocking(move || {
        let mut pen = Pen::new(encoding, spool, sender);
        match write(&mut pen) {
            Ok(()) => pen.finish(),
            Err(error) => pen.fail(error),
        }
    });
    let broke = || Err(ApiError::internal("the answer could not be written; see the log"));
    let Piece { bytes, encoding, last } = pieces.recv().await.unwrap_or_else(broke)?;
    let body = if last { Body::from(bytes) } else { Body::from_stream(rest(bytes, pieces)) };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Some(name) = encoding.name() {
        headers.insert(CONTENT_ENCODING, name);
    }
    Ok(response)
}

/// The pieces from `first` on. A body without its last piece ends in an error, so that nobody takes it for whole.
fn rest(
    first: Bytes,
    pieces: mpsc::Receiver<Result<Piece, ApiError>>,
) -> impl Stream<Item = io::Result<Bytes>> {
    let others = futures::stream::unfold(Some(pieces), move |pieces| async move {
        let mut pieces = pieces?;
        match pieces.recv().await {
            None => Some((Err(io::Error::other("the answer broke off")), None)),
            Some(Err(error)) => Some((Err(io::Error::other(error.message)), None)),
            Some(Ok(Piece { bytes, last: true, .. })) => Some((Ok(bytes), None)),
            Some(Ok(Piece { bytes, .. })) => Some((Ok(bytes), Some(pieces))),
        }
    });
    futures::stream::once(async move { Ok(first) }).chain(others)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use axum::body::to_bytes;

    use super::*;

    fn spool() -> Arc<Spool> {
        Arc::new(Spool::new(std::env::temp_dir()))
    }

    async fn written(encoding: Encoding, rows: usize) -> (Option<HeaderValue>, Vec<u8>) {
        let write = move |pen: &mut Pen| {
            for row in 0..rows {
                pen.out().extend_from_slice(format!("row {row}\n").as_bytes());
                assert!(pen.pass_on());
            }
            Ok(())
        };
        let response = stream(encoding, &spool(), write).await.unwrap();
        let named = response.headers().get(CONTENT_ENCODING).cloned();
        (named, to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec())
    }

    fn gunzip(packed: &[u8]) -> Vec<u8> {
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(packed).read_to_end(&mut unpacked).unwrap();
        unpacked
    }

    #[tokio::test]
    async fn every_encoding_comes_back_whole() {
        for rows in [0, 1, 1_000, 200_000] {
            let (_, plain) = written(Encoding::Identity, rows).await;
            let (named, packed) = written(Encoding::Gzip, rows).await;
            let unpacked = if named.is_some() { gunzip(&packed) } else { packed };
            assert!(unpacked == plain, "{rows} rows");
            let (named, packed) = written(Encoding::Zstd, rows).await;
            let unpacked = if named.is_some() { zstd::decode_all(&*packed).unwrap() } else { packed };
            assert!(unpacked == plain, "{rows} rows");
        }
    }

    #[tokio::test]
    async fn a_writer_that_breaks_makes_no_whole_answer() {
        assert!(stream(Encoding::Identity, &spool(), |_| panic!("a defect")).await.is_err());
        let write = |pen: &mut Pen| {
            pen.out().resize(PIECE, b'x');
            pen.flush();
            Err(ApiError::internal("a broken disk"))
        };
        let response = stream(Encoding::Identity, &spool(), write).await.unwrap();
        assert!(to_bytes(response.into_body(), usize::MAX).await.is_err());
    }

    #[tokio::test]
    async fn an_error_before_the_first_piece_is_the_answer() {
        let write = |pen: &mut Pen| {
            pen.out().push(b'x');
            Err(ApiError::internal("a broken disk"))
        };
        let error = stream(Encoding::Identity, &spool(), write).await.unwrap_err();
        assert_eq!(error, ApiError::internal("a broken disk"));
    }

    #[tokio::test]
    async fn a_slow_reader_gets_all_though_the_writer_ends_before_it_while_others_wait() {
        let others = crate::turns::Waits::new();
        let (told, hears) = tokio::sync::oneshot::channel();
        let all: Vec<u8> = (0..40 * PIECE).map(|n| (n % 251) as u8).collect();
        let sent = all.clone();
        let write = move |pen: &mut Pen| {
            for piece in sent.chunks(PIECE) {
                pen.out().extend_from_slice(piece);
                assert!(pen.flush());
            }
            let _ = told.send(());
            Ok(())
        };
        let response = stream(Encoding::Identity, &spool(), write).await.unwrap();
        hears.await.unwrap();
        drop(others);
        assert!(to_bytes(response.into_body(), usize::MAX).await.unwrap() == all);
    }

    #[tokio::test]
    async fn nobody_writes_for_a_reader_who_left() {
        let (told, hears) = tokio::sync::oneshot::channel();
        let write = |pen: &mut Pen| {
            loop {
                pen.out().resize(PIECE, b'x');
                if !pen.flush() {
                    let _ = told.send(());
                    return Ok(());
                }
            }
        };
        drop(stream(Encoding::Identity, &spool(), write).await.unwrap());
        hears.await.unwrap();
    }
}
