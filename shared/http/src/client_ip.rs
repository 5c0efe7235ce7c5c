//! The client's IP address.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::request::Parts;
use lambda_http::request::RequestContext;

/// The client's IP address: as the distribution sent it, if the request has the origin secret; otherwise
/// as the gateway saw it. Never `x-forwarded-for`, which any client can forge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientIp(pub IpAddr);

impl<S: Send + Sync> FromRequestParts<S> for ClientIp {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        if let Some(of_distribution) = parts.extensions.get::<Self>() {
            return Ok(*of_distribution);
        }
        let of_gateway =
            parts.extensions.get::<RequestContext>().and_then(|context| match context {
                RequestContext::ApiGatewayV1(context) => {
                    context.identity.source_ip.as_deref()?.parse().ok()
                }
                RequestContext::ApiGatewayV2(context) => {
                    context.http.source_ip.as_deref()?.parse().ok()
                }
                _ => None,
            });
        let of_socket =
            || parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        // Only a test has neither; all of those share one address, and its limits.
        Ok(Self(of_gateway.or_else(of_socket).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))))
    }
}
