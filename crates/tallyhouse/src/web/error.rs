//! Pages that say no: a sentence, a cause, a way out.

use askama::Template;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use store::{Role, StoreError};
use url::Url;

use super::{
    auth::{Viewer, role_name},
    page::{Section, Shell, page},
};

/// Why a request gets no page of its own.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Go there first.
    Elsewhere(String),
    /// It cannot be done, and this is why.
    Page(Box<Problem>),
}

/// A page that says no.
#[derive(Debug, Template)]
#[template(path = "problem.html")]
pub(super) struct Problem {
    shell: Shell,
    status: StatusCode,
    sentence: String,
    cause: String,
    /// Address and words of the way out.
    way: (String, String),
}

/// Told apart from [`Problem`], so that its parts have names where it is made.
pub(super) struct Told<'a> {
    pub(super) title: &'a str,
    pub(super) sentence: &'a str,
    pub(super) cause: &'a str,
    pub(super) way: (&'a str, &'a str),
}

impl Refusal {
    /// A page that says no to somebody, or to nobody in particular.
    pub(super) fn told(status: StatusCode, viewer: Option<&Viewer>, told: &Told<'_>) -> Self {
        let shell = match viewer {
            Some(viewer) => Shell::for_viewer(viewer, Section::Elsewhere, told.title),
            None => Shell::outside(told.title),
        };
        let (href, label) = told.way;
        Self::Page(Box::new(Problem {
            shell,
            status,
            sentence: told.sentence.to_owned(),
            cause: told.cause.to_owned(),
            way: (href.to_owned(), label.to_owned()),
        }))
    }

    /// To the page for signing in, and from there back to `next`.
    pub(super) fn sign_in(next: Option<&str>) -> Self {
        let next = next.filter(|next| *next != "/");
        let query = |next: &str| {
            url::form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish()
        };
        let query = next.map(|next| format!("?{}", query(next)));
        Self::Elsewhere(format!("/login{}", query.unwrap_or_default()))
    }

    /// Nobody can sign in yet.
    pub(super) fn not_set_up() -> Self {
        let told = Told {
            title: "Finish the setup",
            sentence: "Nobody can sign in to this installation yet.",
            cause: "The first administrator is made through a link that works once. It was printed where Tallyhouse was started.",
            way: ("/setup", "I have the link's token"),
        };
        Self::told(StatusCode::FORBIDDEN, None, &told)
    }

    /// The viewer's role is too small; names the one that is missing.
    pub(super) fn needs_role(viewer: &Viewer, needed: Role) -> Self {
        let (needed, own) = (role_name(needed), role_name(viewer.role()));
        let sentence = format!("This page needs the {needed} permission. You have {own}.");
        let told = Told {
            title: "Permission needed",
            sentence: &sentence,
            cause: "Somebody with the Admin permission can change yours. Nothing was changed.",
            way: if viewer.role() == Role::ReadOnly { ("", "") } else { ("/", "Back to Home") },
        };
        Self::told(StatusCode::FORBIDDEN, Some(viewer), &told)
    }

    /// A form that did not come from a page of this session.
    pub(super) fn foreign_form() -> Self {
        let told = Told {
            title: "Send that again",
            sentence: "Nothing was changed, because the form was not from a page of your present session.",
            cause: "You signed in again since the page was opened, or another site sent the form.",
            way: ("/", "Open a fresh page"),
        };
        Self::told(StatusCode::FORBIDDEN, None, &told)
    }

    /// A form that cannot be read.
    pub(super) fn unreadable_form() -> Self {
        let told = Told {
            title: "That form could not be read",
            sentence: "Nothing was changed, because a field of the form is missing or far too long.",
            cause: "A program between your browser and Tallyhouse may have changed it.",
            way: ("/", "Open a fresh page"),
        };
        Self::told(StatusCode::BAD_REQUEST, None, &told)
    }

    /// Asked under a name that is not this installation's.
    pub(super) fn other_host(public: &Url) -> Self {
        let sentence = format!("This installation answers as {}.", public.as_str());
        let told = Told {
            title: "Another address",
            sentence: &sentence,
            cause: "The address in your browser is not the one in the configuration (public_url). Open that one, or change the setting.",
            way: (public.as_str(), "Open it there"),
        };
        Self::told(StatusCode::MISDIRECTED_REQUEST, None, &told)
    }

    /// Too many people sign in at once.
    pub(super) fn busy() -> Self {
        let told = Told {
            title: "Too many at once",
            sentence: "Too many people are signing in just now, so this attempt was not looked at.",
            cause: "Passwords are checked a few at a time. Somebody may be guessing.",
            way: ("/login", "Try again"),
        };
        Self::told(StatusCode::SERVICE_UNAVAILABLE, None, &told)
    }

    /// There is no such page, or no such connection.
    pub(super) fn nothing_here(viewer: Option<&Viewer>, what: &str) -> Self {
        let sentence = format!("There is no {what}.");
        let told = Told {
            title: "Nothing here",
            sentence: &sentence,
            cause: "It was deleted or renamed, or the address has a mistake.",
            way: ("/", "Go to Home"),
        };
        Self::told(StatusCode::NOT_FOUND, viewer, &told)
    }

    /// The store failed. Its words go to the log: they say nothing to a reader.
    #[expect(clippy::needless_pass_by_value, reason = "made for `map_err`")]
    pub(super) fn store(error: StoreError) -> Self {
        Self::inside(&error)
    }

    /// Something of ours failed.
    pub(super) fn inside(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "could not answer a request");
        let told = Told {
            title: "This did not work",
            sentence: "Tallyhouse could not read or write its own data.",
            cause: "The log says why: often the disk is full, or the data folder belongs to another user.",
            way: ("/", "Try again"),
        };
        Self::told(StatusCode::INTERNAL_SERVER_ERROR, None, &told)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Elsewhere(to) => Redirect::to(&to).into_response(),
            Self::Page(problem) => page(problem.status, problem.as_ref()),
        }
    }
}

/// For addresses that lead nowhere.
pub(super) async fn nowhere(viewer: Viewer) -> Refusal {
    Refusal::nothing_here(Some(&viewer), "such page")
}
