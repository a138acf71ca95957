//! What a bank's language is told, key by key.
//!
//! This file decides which of its keys are secrets. It must not know how they are used.

use super::Facts;
use crate::routes::table::dialect::{
    Authentication, Ccg, CcgFetch, ClientKey, Dialect, Flinks, Konsentus, OAuth2, Oxlin, Profile,
    Registration, Registrations, UsernameCheck,
};

impl Facts {
    pub(super) fn add_dialect(&mut self, dialect: &Dialect) {
        match dialect {
            Dialect::Blink => {}
            Dialect::OAuth2(oauth2) => self.add_oauth2(oauth2),
            Dialect::Flinks(flinks) => self.add_flinks(flinks),
            Dialect::Konsentus(konsentus) => self.add_konsentus(konsentus),
            Dialect::Oxlin(oxlin) => self.add_oxlin(oxlin),
        }
    }

    fn add_oauth2(&mut self, oauth2: &OAuth2) {
        let OAuth2 {
            registrations,
            authentication,
            username,
            username_parameter,
            correlation_header,
        } = oauth2;
        self.add_registrations("oauth2", registrations);
        let authentication = match authentication {
            Authentication::SecretBasic => "client_secret_basic",
            Authentication::SecretPost => "client_secret_post",
            Authentication::Tls => "tls_client_auth",
            Authentication::None => "none",
            Authentication::PrivateKeyJwt(key) => {
                let ClientKey { key, key_id, audience } = &**key;
                self.hide("oauth2.private_key", zeroize::Zeroizing::new(key.to_bytes()));
                self.maybe("oauth2.key_id", key_id.as_ref());
                self.maybe("oauth2.audience", audience.as_ref());
                "private_key_jwt"
            }
        };
        self.show("oauth2.authentication", authentication);
        let (way, claim, folds_case) = match username {
            UsernameCheck::None => ("none", None, None),
            UsernameCheck::Introspection { folds_case } => {
                ("introspection", None, Some(folds_case))
            }
            UsernameCheck::Userinfo { claim, folds_case } => {
                ("userinfo", Some(claim), Some(folds_case))
            }
        };
        self.show("oauth2.username", way);
        self.maybe("oauth2.username_claim", claim);
        self.maybe("oauth2.username_ignores_case", folds_case);
        self.maybe("oauth2.username_parameter", username_parameter.as_ref());
        self.maybe("oauth2.correlation_header", correlation_header.as_ref());
    }

    fn add_flinks(&mut self, flinks: &Flinks) {
        let Flinks { registrations, sends_form, uses_basic, revokes_by_post, correlation_header } =
            flinks;
        self.add_registrations("flinks", registrations);
        self.show("flinks.body_encoding", if *sends_form { "form" } else { "json" });
        self.show("flinks.authentication", if *uses_basic { "basic" } else { "body" });
        self.show("flinks.revoke_method", if *revokes_by_post { "POST" } else { "DELETE" });
        self.maybe("flinks.correlation_header", correlation_header.as_ref());
    }

    fn add_konsentus(&mut self, konsentus: &Konsentus) {
        let Konsentus { basic, fi_reference_id, version, psp, ccg } = konsentus;
        self.hide("konsentus.basic", basic.as_bytes());
        for (key, value) in [("fi_reference_id", fi_reference_id), ("version", version)] {
            self.show(&format!("konsentus.{key}"), String::from_utf8_lossy(value.as_bytes()));
        }
        let mut psp: Vec<_> = psp.iter().collect();
        psp.sort_by_key(|(client, _)| *client);
        for (client, ccg) in psp {
            self.add_ccg(&format!("konsentus.psp.{client}.ccg"), ccg);
        }
        if let Some(ccg) = ccg {
            self.add_ccg("konsentus.ccg", ccg);
        }
    }

    fn add_ccg(&mut self, key: &str, ccg: &Ccg) {
        let fetch = match ccg {
            Ccg::Static(token) => return self.hide(&format!("{key}.token"), token.expose()),
            Ccg::Fetch(fetch) => fetch,
        };
        let CcgFetch { path, method, headers, body, token_pointer, expires_pointer, default_ttl } =
            &**fetch;
        self.show(&format!("{key}.path"), path);
        self.show(&format!("{key}.method"), method);
        self.add_headers(&format!("{key}.headers"), headers);
        self.hide(&format!("{key}.body"), body.expose());
        self.show(&format!("{key}.token_pointer"), token_pointer);
        self.show(&format!("{key}.expires_pointer"), expires_pointer);
        self.time(&format!("{key}.default_ttl"), *default_ttl);
    }

    fn add_oxlin(&mut self, oxlin: &Oxlin) {
        let Oxlin { client_id, client_secret, redirect_uri, provider, code_grant, profile } = oxlin;
        self.show("oxlin.client_id", client_id);
        self.hide("oxlin.client_secret", client_secret.expose());
        self.maybe("oxlin.redirect_uri", redirect_uri.as_ref());
        self.maybe("oxlin.provider", provider.as_ref());
        self.show("oxlin.authorization_code", if *code_grant { "upstream" } else { "none" });
        self.show("oxlin.username", if profile.is_some() { "profile" } else { "none" });
        if let Some(Profile { field, folds_case, terms_marker, terms_uri }) = profile {
            self.show("oxlin.username_field", field);
            self.show("oxlin.username_ignores_case", folds_case);
            self.maybe("oxlin.terms_marker", terms_marker.as_ref());
            self.maybe("oxlin.terms_uri", terms_uri.as_ref());
        }
    }

    fn add_registrations(&mut self, key: &str, registrations: &Registrations) {
        // Who has the same id follows from the ids.
        let Registrations { shared, own, same: _ } = registrations;
        if let Some(shared) = shared {
            self.add_registration(key, shared);
        }
        let mut own: Vec<_> = own.iter().collect();
        own.sort_by_key(|(client, _)| *client);
        for (client, registration) in own {
            self.add_registration(&format!("{key}.clients.{client}"), registration);
        }
    }

    fn add_registration(&mut self, key: &str, registration: &Registration) {
        let Registration { client_id, client_secret } = registration;
        self.show(&format!("{key}.client_id"), client_id);
        if let Some(secret) = client_secret {
            self.hide(&format!("{key}.client_secret"), secret.expose());
        }
    }
}
