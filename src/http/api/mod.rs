//! The server API: what backends and operators ask of a node.
//!
//! Every call is one function with its shapes beside it; the OpenAPI document is
//! made from the same functions and shapes.
//!
//! Invariants:
//! - nothing is answered without a known key, except on a development node;
//! - a change is acknowledged when it is in the log, never before;
//! - what a call can't do is said with a status, a code and the field to blame.
//!
//! Not here: the listener (`internal`), what the verbs do (`node`).

mod body;
mod caller;
mod inspect;
mod members;
mod presence;
mod problem;
mod publish;
mod pydio;
mod wire;

use std::sync::Arc;

use axum::{Router, body::Body, middleware, response::IntoResponse as _, routing::get};
use hyper::StatusCode;
use tokio::{sync::watch, time::Duration};
use utoipa::{
    PartialSchema as _,
    openapi::{
        InfoBuilder, OpenApi, OpenApiBuilder,
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) use self::problem::Reason;
use self::{
    caller::{Caller, identify},
    problem::Problem,
    wire::{ErrorBody, ErrorDetail},
};
use super::answer::json;
use crate::{
    auth::ApiKeys,
    config::Limits,
    lifecycle::Readiness,
    limits::{KeyedBuckets, Rate},
    model::RealmId,
    node::Node,
};

/// How many seconds of events a key may publish at once.
const BURST_SECONDS: f64 = 5.0;
/// Most keys whose rates are remembered: more than anybody configures.
const KEYS_MAX: usize = 10_000;
/// Realms whose silent events are counted at once.
const REALMS_MAX: usize = 10_000;
/// Silent events of a realm that one node takes.
const SILENT_RATE: Rate = Rate { per_second: 20.0, burst: 10.0 };

/// What the calls work with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Api(Arc<Parts>);

/// What an [`Api`] is made of.
#[derive(Debug)]
pub struct ApiParts {
    /// The verbs.
    pub node: Arc<Node>,
    /// Who may call.
    pub keys: ApiKeys,
    /// True on a development node: without a key everybody may call.
    pub dev: bool,
    /// The limits of now.
    pub limits: watch::Receiver<Arc<Limits>>,
    /// Why the node is not ready.
    pub readiness: Readiness,
}

#[derive(Debug)]
struct Parts {
    given: ApiParts,
    rates: KeyedBuckets<usize>,
    /// What of Pydio's silent events each realm may still publish here.
    silent: KeyedBuckets<RealmId>,
}

impl Api {
    /// The realm of requests that name none.
    const DEFAULT_REALM: &'static str = crate::auth::DEFAULT_REALM;

    /// Puts the parts together.
    #[must_use]
    pub fn new(given: ApiParts) -> Self {
        let rates = KeyedBuckets::new(rate(&given.limits.borrow()), KEYS_MAX);
        let silent = KeyedBuckets::new(SILENT_RATE, REALMS_MAX);
        Self(Arc::new(Parts { given, rates, silent }))
    }

    pub(super) fn node(&self) -> &Node {
        &self.0.given.node
    }

    fn keys(&self) -> &ApiKeys {
        &self.0.given.keys
    }

    fn is_open(&self) -> bool {
        self.0.given.dev
    }

    fn readiness(&self) -> &Readiness {
        &self.0.given.readiness
    }

    fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.0.given.limits.borrow())
    }

    /// Takes `events` from what the key may publish.
    fn admit(&self, caller: &Caller, events: usize) -> Result<(), Problem> {
        let Caller::Key(key) = caller else { return Ok(()) };
        self.0.rates.set_rate(rate(&self.0.given.limits.borrow()));
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        let taken = self.0.rates.take(key.index, f64::from(events));
        taken.map_err(|wait| Problem::rate_limited(wait.max(Duration::from_millis(1))))
    }

    /// Takes one event from what a realm may publish that nobody waits for.
    fn admit_silent(&self, realm: &RealmId) -> Result<(), Problem> {
        let taken = self.0.silent.take(realm.clone(), 1.0);
        taken.map_err(|wait| Problem::too_many_silent(wait.max(Duration::from_millis(1))))
    }

    /// Puts `routes` behind the keys.
    pub(super) fn guarded<S: Clone + Send + Sync + 'static>(
        self,
        routes: Router<S>,
        state: S,
    ) -> Router {
        routes
            .method_not_allowed_fallback(no_such_method)
            .layer(middleware::from_fn_with_state(self, identify))
            .with_state(state)
    }

    /// The routes below `/api/v1`, behind the keys.
    pub(super) fn router(self) -> Router {
        let (router, mut document) = described();
        if self.is_open() {
            // What anybody may call does not ask for a key.
            document.security = None;
        }
        let text = document.to_pretty_json().unwrap_or_default();
        let document = move || async move { json(StatusCode::OK, text) };
        let router = router.route("/api/v1/openapi.json", get(document)).fallback(no_such_call);
        self.clone().guarded(router, self)
    }
}

fn rate(limits: &Limits) -> Rate {
    let per_second = limits.api_events_per_second;
    Rate { per_second, burst: per_second * BURST_SECONDS }
}

/// The OpenAPI document of the server API.
#[must_use]
pub fn openapi() -> OpenApi {
    described().1
}

fn described() -> (Router<Api>, OpenApi) {
    let info = InfoBuilder::new()
        .title("hubbub server API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("What backends and operators ask of a node, on its internal listener."));
    let mut document = OpenApiBuilder::new().info(info.build()).build();
    let mut components = utoipa::openapi::Components::new();
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    // Shapes that are only named by responses and parameters are not collected.
    components.schemas.insert("Place".to_owned(), presence::Place::schema());
    components.schemas.insert("ErrorBody".to_owned(), ErrorBody::schema());
    components.schemas.insert("ErrorDetail".to_owned(), ErrorDetail::schema());
    components.add_security_scheme("key", SecurityScheme::Http(scheme));
    document.components = Some(components);
    document.security = Some(vec![SecurityRequirement::new("key", [""; 0])]);
    OpenApiRouter::with_openapi(document)
        .routes(routes!(publish::publish))
        .routes(routes!(publish::batch))
        .routes(routes!(members::change, members::list))
        .routes(routes!(members::memberships))
        .routes(routes!(members::revoke))
        .routes(routes!(members::disconnect))
        .routes(routes!(pydio::define, pydio::remove))
        .routes(routes!(pydio::nodes))
        .routes(routes!(pydio::publish))
        .routes(routes!(presence::of_topic, presence::of_users))
        .routes(routes!(presence::status, presence::choose))
        .routes(routes!(inspect::connection))
        .routes(routes!(inspect::delivery))
        .routes(routes!(inspect::log))
        .routes(routes!(inspect::node))
        .routes(routes!(inspect::nodes))
        .split_for_parts()
}

async fn no_such_call() -> axum::response::Response<Body> {
    Problem::not_found("there is no such call").into_response()
}

async fn no_such_method() -> axum::response::Response<Body> {
    Problem::method().into_response()
}
