//! What all pages share: their frame, and how one becomes an answer.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;
use store::Role;

use super::auth::{Viewer, role_name};

/// The frame round a page.
#[derive(Debug)]
pub(super) struct Shell {
    /// For the browser's tab and the page's heading.
    pub(super) title: String,
    /// Which entry of the navigation is this.
    pub(super) section: Section,
    /// The way here: address and name.
    pub(super) crumbs: Vec<(String, String)>,
    /// Who looks; none before signing in.
    pub(super) who: Option<Who>,
    /// What just happened.
    pub(super) flash: Option<Flash>,
    /// Without scripts the page is read again after so many seconds.
    pub(super) reread: Option<u32>,
}

/// Entries of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    /// The numbers.
    Home,
    /// Admin: connections.
    Connections,
    /// None of them.
    Elsewhere,
}

/// Who looks at a page.
#[derive(Debug)]
pub(super) struct Who {
    pub(super) name: String,
    pub(super) email: String,
    pub(super) role: &'static str,
    pub(super) csrf: String,
    pub(super) sees_numbers: bool,
    pub(super) is_admin: bool,
}

/// A message above a page.
#[derive(Debug)]
pub(super) struct Flash {
    pub(super) tone: Tone,
    pub(super) title: String,
    pub(super) text: String,
    /// Address and words of what to do about it.
    pub(super) way: Option<(String, &'static str)>,
}

/// The four meanings. Each is told by a word or an icon too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// All is well.
    Good,
    /// Somebody should look.
    Attention,
    /// Something failed.
    Bad,
    /// Just so.
    Neutral,
}

impl Tone {
    /// Its class in the styles.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Attention => "attention",
            Self::Bad => "bad",
            Self::Neutral => "neutral",
        }
    }

    /// Its icon, for those who do not see the colour.
    pub(super) fn icon(self) -> &'static str {
        match self {
            Self::Good => "✓",
            Self::Attention | Self::Bad => "!",
            Self::Neutral => "•",
        }
    }
}

impl Flash {
    /// Whether a screen reader should say it at once.
    pub(super) fn is_alert(&self) -> bool {
        self.tone == Tone::Bad
    }
}

impl Shell {
    /// The frame of a page for somebody who is signed in.
    pub(super) fn for_viewer(viewer: &Viewer, section: Section, title: impl Into<String>) -> Self {
        let user = &viewer.session.user;
        let who = Who {
            name: user.name.clone(),
            email: user.email.clone(),
            role: role_name(user.role),
            csrf: viewer.csrf().to_owned(),
            sees_numbers: user.role != Role::ReadOnly,
            is_admin: user.role == Role::Admin,
        };
        Self { who: Some(who), section, ..Self::outside(title) }
    }

    /// The frame of a page before signing in.
    pub(super) fn outside(title: impl Into<String>) -> Self {
        let title = title.into();
        Self { title, section: Section::Elsewhere, crumbs: Vec::new(), who: None, flash: None, reread: None }
    }

    /// Adds a step of the way here.
    pub(super) fn under(mut self, href: impl Into<String>, name: impl Into<String>) -> Self {
        self.crumbs.push((href.into(), name.into()));
        self
    }

    /// Adds what just happened.
    pub(super) fn with_flash(self, flash: Option<Flash>) -> Self {
        Self { flash, ..self }
    }

    /// For the templates.
    pub(super) fn is_at_home(&self) -> bool {
        self.section == Section::Home
    }

    /// For the templates.
    pub(super) fn is_at_connections(&self) -> bool {
        self.section == Section::Connections
    }

    /// What this page's forms carry.
    pub(super) fn csrf(&self) -> &str {
        self.who.as_ref().map_or("", |who| &who.csrf)
    }
}

/// A page as an answer.
pub(super) fn page(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "could not render a page");
            (StatusCode::INTERNAL_SERVER_ERROR, "This page could not be made. The log says why.")
                .into_response()
        }
    }
}
