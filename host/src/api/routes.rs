//! Routes as data: the router and the OpenAPI document are made of the same rows, so
//! that neither has one that the other lacks.
//!
//! ```text
//! Routes::default().group("Units", "/api/v1/inventory", [
//!     get("listUnits", "/{namespace}/units/", units::units)
//!         .says("Units of a namespace, by name")
//!         .gives(200, map_of::<Application>())
//!         .refuses([404]),
//! ])
//! ```

use std::sync::Arc;

use axum::{
    Router,
    handler::Handler,
    http::Method,
    routing::{self, MethodFilter, MethodRouter},
};

use super::openapi::Content;
use crate::app::App;

/// The routes of a family, in the order of its documents.
#[derive(Default)]
pub(super) struct Routes(Vec<Route>);

/// One method on one path, its handler, and what the OpenAPI document says of it.
pub(super) struct Route {
    /// Names the operation for those who generate clients; no two share one.
    pub(super) id: &'static str,
    pub(super) method: Method,
    pub(super) path: String,
    /// The heading that the operation stands under.
    pub(super) group: &'static str,
    pub(super) summary: &'static str,
    pub(super) parameters: Vec<Parameter>,
    pub(super) takes: Option<Content>,
    pub(super) gives: Vec<(u16, Content)>,
    /// Statuses of failures, besides those that every route of the family has.
    pub(super) refuses: Vec<u16>,
    /// Whether the policy is asked.
    pub(super) asks: bool,
    /// Whether only a server with `dev` has it.
    dev: bool,
    handler: MethodRouter<Arc<App>>,
    both_slashes: bool,
}

/// Something that a request may say besides its path and body.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) place: Place,
    pub(super) says: &'static str,
}

/// Where a request says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Query,
    Header,
}

impl Routes {
    /// Adds the routes under one heading, whose paths begin with `base`.
    pub(super) fn group(
        mut self,
        group: &'static str,
        base: &str,
        routes: impl IntoIterator<Item = Route>,
    ) -> Routes {
        self.0.extend(routes.into_iter().map(|it| {
            let path = format!("{base}{}", it.path);
            Route { group, path, ..it }
        }));
        self
    }

    /// The rows that a server has, with `dev` or without.
    pub(super) fn served(mut self, dev: bool) -> Routes {
        self.0.retain(|it| dev || !it.dev);
        self
    }

    /// The rows.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Route> {
        self.0.iter()
    }

    /// A router of exactly these routes.
    pub(super) fn router(self) -> Router<Arc<App>> {
        self.0.into_iter().fold(Router::new(), |router, route| {
            let other = route.other_path();
            let router = match other {
                Some(other) => router.route(&other, route.handler.clone()),
                None => router,
            };
            router.route(&route.path, route.handler)
        })
    }
}

/// A GET, which is answered to HEAD as well.
pub(super) fn get<H, T>(id: &'static str, path: &str, handler: H) -> Route
where
    H: Handler<T, Arc<App>>,
    T: 'static,
{
    route(id, Method::GET, path, routing::get(handler))
}

/// A POST.
pub(super) fn post<H, T>(id: &'static str, path: &str, handler: H) -> Route
where
    H: Handler<T, Arc<App>>,
    T: 'static,
{
    route(id, Method::POST, path, routing::on(MethodFilter::POST, handler))
}

/// A PUT.
pub(super) fn put<H, T>(id: &'static str, path: &str, handler: H) -> Route
where
    H: Handler<T, Arc<App>>,
    T: 'static,
{
    route(id, Method::PUT, path, routing::on(MethodFilter::PUT, handler))
}

/// A PATCH.
pub(super) fn patch<H, T>(id: &'static str, path: &str, handler: H) -> Route
where
    H: Handler<T, Arc<App>>,
    T: 'static,
{
    route(id, Method::PATCH, path, routing::on(MethodFilter::PATCH, handler))
}

/// A DELETE.
pub(super) fn delete<H, T>(id: &'static str, path: &str, handler: H) -> Route
where
    H: Handler<T, Arc<App>>,
    T: 'static,
{
    route(id, Method::DELETE, path, routing::on(MethodFilter::DELETE, handler))
}

/// Any method; the document shows GET.
pub(super) fn any<H, T>(id: &'static str, path: &str, handler: H) -> Route
where
    H: Handler<T, Arc<App>>,
    T: 'static,
{
    route(id, Method::GET, path, routing::any(handler))
}

fn route(id: &'static str, method: Method, path: &str, handler: MethodRouter<Arc<App>>) -> Route {
    Route {
        id,
        method,
        path: path.to_owned(),
        group: "",
        summary: "",
        parameters: Vec::new(),
        takes: None,
        gives: Vec::new(),
        refuses: Vec::new(),
        asks: true,
        dev: false,
        handler,
        both_slashes: true,
    }
}

impl Route {
    /// What it does, in a few words.
    pub(super) fn says(self, summary: &'static str) -> Route {
        Route { summary, ..self }
    }

    /// A parameter of the query; none is needed.
    pub(super) fn query(self, name: &'static str, says: &'static str) -> Route {
        self.parameter(Parameter { name, place: Place::Query, says })
    }

    /// A header that has a meaning here; none is needed.
    pub(super) fn header(self, name: &'static str, says: &'static str) -> Route {
        self.parameter(Parameter { name, place: Place::Header, says })
    }

    /// The body of a request.
    pub(super) fn takes(self, body: Content) -> Route {
        Route { takes: Some(body), ..self }
    }

    /// A status that says it worked, and the body that comes with it.
    pub(super) fn gives(mut self, status: u16, body: Content) -> Route {
        self.gives.push((status, body));
        self
    }

    /// Statuses that say why it did not work, besides those that all routes have.
    pub(super) fn refuses<const N: usize>(mut self, statuses: [u16; N]) -> Route {
        self.refuses.extend(statuses);
        self
    }

    /// The policy has no say in it.
    pub(super) fn unasked(self) -> Route {
        Route { asks: false, ..self }
    }

    /// Only a test system has it: a server with `dev`.
    pub(super) fn only_with_dev(self) -> Route {
        Route { dev: true, ..self }
    }

    /// Only this spelling is the route; the one with the other end is not.
    #[expect(clippy::wrong_self_convention, reason = "it says how the path is taken")]
    pub(super) fn as_written(self) -> Route {
        Route { both_slashes: false, ..self }
    }

    fn parameter(mut self, parameter: Parameter) -> Route {
        self.parameters.push(parameter);
        self
    }

    /// The path with the final slash that it lacks, or without the one that it has.
    fn other_path(&self) -> Option<String> {
        if !self.both_slashes {
            return None;
        }
        Some(match self.path.strip_suffix('/') {
            Some(path) => path.to_owned(),
            None => format!("{}/", self.path),
        })
    }
}
