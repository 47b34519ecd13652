//! OTLP over gRPC.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use http::HeaderValue;
use kandela_config::kandela::Role;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use tonic::codec::CompressionEncoding;
use tonic::{Code, Request, Status};

use super::{Logs, Metrics, Signal, Traces, export, refused};
use crate::app::App;
use crate::guard::{self, Door};
use crate::http::RouteName;
use crate::net::{Peer, body};
use crate::receive::Delivery;

const PROTOCOL: &str = "otlp_grpc";
const METHODS: [&str; 3] = [
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
];

/// The three services for writers, with gzip and zstd, and messages of at most the decompressed limit.
pub(crate) fn grpc_router(app: &Arc<App>, door: Door) -> Router {
    let limit = app.body_limits.decompressed;
    macro_rules! service {
        ($server:ident) => {
            $server::new(Services { app: app.clone() })
                .accept_compressed(CompressionEncoding::Gzip)
                .accept_compressed(CompressionEncoding::Zstd)
                .send_compressed(CompressionEncoding::Gzip)
                .max_decoding_message_size(limit)
        };
    }
    tonic::service::Routes::new(service!(MetricsServiceServer))
        .add_service(service!(TraceServiceServer))
        .add_service(service!(LogsServiceServer))
        .into_axum_router()
        .layer(from_fn_with_state((app.admission.clone(), app.body_limits), body::meter))
        .layer(from_fn_with_state((door, Role::Writer), guard::require))
        .layer(from_fn(mark))
}

/// Middleware: names the method for own metrics, and makes a refusal for size final. A message that is too large is
/// `OUT_OF_RANGE` to tonic, which OTLP clients repeat for ever; `RESOURCE_EXHAUSTED` without `RetryInfo` they drop.
async fn mark(request: axum::extract::Request, next: Next) -> Response {
    let route = METHODS.into_iter().find(|method| *method == request.uri().path());
    let mut response = next.run(request).await;
    if let Some(route) = route {
        response.extensions_mut().insert(RouteName(route));
    }
    let too_large = HeaderValue::from(Code::OutOfRange as i32);
    if let Some(status) = response.headers_mut().get_mut("grpc-status").filter(|status| **status == too_large)
    {
        *status = HeaderValue::from(Code::ResourceExhausted as i32);
    }
    response
}

struct Services {
    app: Arc<App>,
}

impl Services {
    async fn take<S: Signal>(
        &self,
        request: Request<S::Request>,
    ) -> Result<tonic::Response<S::Response>, Status>
    where
        S::Request: Message,
    {
        let remote = request.extensions().get::<Peer>().map(|peer| peer.remote);
        let headers = request.metadata().clone().into_headers();
        let mut delivery =
            Delivery::by_request(PROTOCOL, &headers, remote).map_err(|refusal| refusal.to_grpc())?;
        let message = request.into_inner();
        // What went over the wire is known to tonic alone; the message's own size stands for it.
        delivery.bytes = message.encoded_len() as u64;
        let exported = export::<S>(&self.app, &delivery, move || Ok(message)).await;
        match exported {
            Ok(response) => Ok(tonic::Response::new(response)),
            Err(refusal) => Err(refused(&self.app, &delivery, refusal).to_grpc()),
        }
    }
}

#[tonic::async_trait]
impl MetricsService for Services {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<ExportMetricsServiceResponse>, Status> {
        self.take::<Metrics>(request).await
    }
}

#[tonic::async_trait]
impl TraceService for Services {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, Status> {
        self.take::<Traces>(request).await
    }
}

#[tonic::async_trait]
impl LogsService for Services {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<tonic::Response<ExportLogsServiceResponse>, Status> {
        self.take::<Logs>(request).await
    }
}
