//! The calls of the API, typed: one function for each route.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use sealpost_proto::api::{
    AddressesResponse, AnnounceRequest, DirectoryHead, Info, InviteRequest, InvitesResponse, LinkLookupRequest,
    LinkLookupResponse, LinkPatch, LinkRedeemRequest, LinkRedeemResponse, MAX_PAGE, MeResponse, OpenRequest,
    OpenResponse, OrgRequest, Part, PartsResponse, RearmRequest, ReceiptRequest, ReceiptResponse, RedeemRequest,
    RedeemResponse, SealResponse, StateResponse, StatementsRequest, StatementsResponse, TransferSummary,
    TransfersResponse,
};
use sealpost_proto::id::{Hash, TransferId};
use sealpost_proto::log::MAX_LEAF_LEN;
use sealpost_proto::seal_request::SealRequest;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::{Api, ApiError, Ask, Endless};

/// Longest answers in bytes, by what they hold. A few facts, or one receipt.
const SMALL: usize = 64 << 10;
/// The statements of an organisation's root and its registrars.
const MAX_ORG: usize = 1 << 20;
/// The stanza block in base64, and the share.
const MAX_OPENED: usize = 2 << 20;
/// The same with the transfer and its sender's chain.
const MAX_REDEEMED: usize = MAX_OPENED + MAX_ORG;
/// One transfer with the receipts of 255 recipients.
const MAX_TRANSFER: usize = 4 << 20;
/// A page of leaves: [`MAX_PAGE`] lines.
const MAX_LEAVES: usize = MAX_PAGE * (MAX_LEAF_LEN + 1);
/// A page of statements, or what is known of all parts of a transfer.
const MAX_STATEMENTS: usize = 16 << 20;
/// A list that comes whole: people, invitations, a page of transfers.
const MAX_LIST: usize = 32 << 20;

impl Api {
    /// `GET /v1/info`.
    ///
    /// # Errors
    /// [`ApiError`], as of all calls.
    pub async fn info(&self) -> Result<Info, ApiError> {
        self.get("/v1/info", String::new(), SMALL).await
    }

    /// `POST /v1/org`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn found_org(&self, request: &OrgRequest) -> Result<(), ApiError> {
        self.post_json("/v1/org", request).await
    }

    /// `POST /v1/invites`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn invite(&self, request: &InviteRequest) -> Result<(), ApiError> {
        self.post_json("/v1/invites", request).await
    }

    /// `GET /v1/invites`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn invites(&self) -> Result<InvitesResponse, ApiError> {
        self.get("/v1/invites", String::new(), MAX_LIST).await
    }

    /// `POST /v1/enrol/redeem`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn redeem(&self, request: &RedeemRequest) -> Result<RedeemResponse, ApiError> {
        self.post("/v1/enrol/redeem", request, MAX_ORG).await
    }

    /// `GET /v1/me`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn me(&self) -> Result<MeResponse, ApiError> {
        self.get("/v1/me", String::new(), SMALL).await
    }

    /// `POST /v1/statements`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn post_statements(&self, statements: Vec<String>) -> Result<DirectoryHead, ApiError> {
        self.post("/v1/statements", &StatementsRequest { statements }, SMALL)
            .await
    }

    /// `GET /v1/statements?from=`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn statements(&self, from: u64) -> Result<StatementsResponse, ApiError> {
        self.get("/v1/statements", format!("from={from}"), MAX_STATEMENTS).await
    }

    /// `GET /v1/<log>/checkpoint`: a signed note. `log` is `directory` or `audit`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn checkpoint(&self, log: &str) -> Result<String, ApiError> {
        self.text(&format!("/v1/{log}/checkpoint"), String::new(), SMALL).await
    }

    /// `GET /v1/<log>/leaves?from=`: lines, without their LF.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn leaves(&self, log: &str, from: u64) -> Result<Vec<String>, ApiError> {
        let text = self
            .text(&format!("/v1/{log}/leaves"), format!("from={from}"), MAX_LEAVES)
            .await?;
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let lines = text.strip_suffix('\n').ok_or(ApiError::Answer("a line does not end"))?;
        Ok(lines.split('\n').map(str::to_owned).collect())
    }

    /// `GET /v1/directory/addresses`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn addresses(&self) -> Result<AddressesResponse, ApiError> {
        self.get("/v1/directory/addresses", String::new(), MAX_LIST).await
    }

    /// `POST /v1/transfers`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn announce(&self, request: &AnnounceRequest) -> Result<(), ApiError> {
        self.post_json("/v1/transfers", request).await
    }

    /// `PUT /v1/transfers/{id}/parts/{n}`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn put_part(&self, id: &TransferId, number: u64, root: Hash, part: Bytes) -> Result<(), ApiError> {
        let path = format!("/v1/transfers/{id}/parts/{number}");
        let ask = Ask {
            method: Method::PUT,
            path: &path,
            query: String::new(),
            content_type: Some("application/octet-stream"),
            body: part,
            part_root: Some(root),
            range: None,
            idempotency_key: None,
            limit: SMALL,
        };
        self.ask(&ask).await.map(drop)
    }

    /// `GET /v1/transfers/{id}/parts`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn parts(&self, id: &TransferId) -> Result<Vec<Part>, ApiError> {
        let parts: PartsResponse = self
            .get(&format!("/v1/transfers/{id}/parts"), String::new(), MAX_STATEMENTS)
            .await?;
        Ok(parts.parts)
    }

    /// `POST /v1/transfers/{id}/seal`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn seal(&self, id: &TransferId, body: &SealRequest<'_>) -> Result<SealResponse, ApiError> {
        let bytes = body.to_bytes().map_err(|_| ApiError::Request("a field is too long"))?;
        self.seal_bytes(id, bytes.into(), self.idempotency_key()).await
    }

    /// The same with a body and a key that were kept, so that a request whose answer was lost is repeated as it was.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn seal_bytes(
        &self,
        id: &TransferId,
        body: Bytes,
        idempotency_key: String,
    ) -> Result<SealResponse, ApiError> {
        let path = format!("/v1/transfers/{id}/seal");
        let ask = Ask {
            body,
            idempotency_key: Some(idempotency_key),
            ..self.post_ask(&path, "application/octet-stream", Vec::new(), SMALL)
        };
        from_json(&self.ask(&ask).await?)
    }

    /// `GET /v1/transfers?before=&limit=`: what the caller sent.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn sent(&self, before: Option<u64>, limit: usize) -> Result<TransfersResponse, ApiError> {
        self.get("/v1/transfers", page(before, limit), MAX_LIST).await
    }

    /// `GET /v1/inbox?before=&limit=`: what the caller was sent.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn inbox(&self, before: Option<u64>, limit: usize) -> Result<TransfersResponse, ApiError> {
        self.get("/v1/inbox", page(before, limit), MAX_LIST).await
    }

    /// `GET /v1/inbox?after=&limit=`: what the caller was sent, oldest first, behind a position.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn inbox_after(&self, after: u64, limit: usize) -> Result<TransfersResponse, ApiError> {
        self.get("/v1/inbox", format!("after={after}&limit={limit}"), MAX_LIST)
            .await
    }

    /// `GET /v1/feed?after=`: bytes of server-sent events, until either end has enough.
    pub(crate) async fn feed(&self, after: Option<u64>, silence: Duration) -> Result<Endless, ApiError> {
        let query = after.map_or_else(String::new, |after| format!("after={after}"));
        self.endless(&get_ask("/v1/feed", query, 0), silence).await
    }

    /// `GET /v1/transfers/{id}`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn transfer(&self, id: &TransferId) -> Result<TransferSummary, ApiError> {
        self.get(&format!("/v1/transfers/{id}"), String::new(), MAX_TRANSFER)
            .await
    }

    /// `POST /v1/transfers/{id}/open`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn open(&self, id: &TransferId, request: &OpenRequest) -> Result<OpenResponse, ApiError> {
        let body = json(request)?;
        let path = format!("/v1/transfers/{id}/open");
        let ask = self.post_ask(&path, "application/json", body, MAX_OPENED);
        // The answer holds the gateway's share.
        from_json(&Zeroizing::new(self.ask(&ask).await?))
    }

    /// `GET /v1/transfers/{id}/leaves`: the leaf list.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn leaf_list(&self, id: &TransferId, limit: usize) -> Result<Vec<u8>, ApiError> {
        self.bytes(&format!("/v1/transfers/{id}/leaves"), limit).await
    }

    /// `GET /v1/transfers/{id}/manifest`: the manifest box.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn manifest_box(&self, id: &TransferId, limit: usize) -> Result<Vec<u8>, ApiError> {
        self.bytes(&format!("/v1/transfers/{id}/manifest"), limit).await
    }

    /// `GET /v1/transfers/{id}/payload` with a Range: exactly those stored bytes, in `into`, whose room is used again.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn payload(&self, id: &TransferId, range: Range<u64>, into: &mut Vec<u8>) -> Result<(), ApiError> {
        let path = format!("/v1/transfers/{id}/payload");
        let len = usize::try_from(range.end.saturating_sub(range.start)).map_err(|_| ApiError::Request("range"))?;
        let ask = Ask {
            range: Some(range),
            ..get_ask(&path, String::new(), len)
        };
        self.ask_into(&ask, into).await.map_err(ApiError::of_stored_bytes)?;
        if into.len() == len {
            Ok(())
        } else {
            Err(ApiError::Answer("it is shorter than the range asked for"))
        }
    }

    /// `DELETE /v1/transfers/{id}`: revokes it.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn revoke(&self, id: &TransferId) -> Result<StateResponse, ApiError> {
        self.delete(&format!("/v1/transfers/{id}")).await
    }

    /// `POST /v1/transfers/{id}/rearm`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn rearm(&self, id: &TransferId, request: &RearmRequest) -> Result<StateResponse, ApiError> {
        self.post(&format!("/v1/transfers/{id}/rearm"), request, SMALL).await
    }

    /// `POST /v1/links/lookup`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn link_lookup(&self, request: &LinkLookupRequest) -> Result<LinkLookupResponse, ApiError> {
        self.post("/v1/links/lookup", request, SMALL).await
    }

    /// `POST /v1/links/redeem`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn link_redeem(&self, request: &LinkRedeemRequest) -> Result<LinkRedeemResponse, ApiError> {
        let ask = self.post_ask("/v1/links/redeem", "application/json", json(request)?, MAX_REDEEMED);
        // The answer holds the gateway's share.
        from_json(&Zeroizing::new(self.ask(&ask).await?))
    }

    /// `PATCH /v1/links/{hash}`: re-arms a locked link.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn rearm_link(&self, link: &Hash) -> Result<StateResponse, ApiError> {
        let path = format!("/v1/links/{link}");
        let body = json(&LinkPatch { locked: false })?;
        let ask = Ask {
            method: Method::PATCH,
            ..self.post_ask(&path, "application/json", body, SMALL)
        };
        from_json(&self.ask(&ask).await?)
    }

    /// `DELETE /v1/links/{hash}`: burns the link.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn burn_link(&self, link: &Hash) -> Result<StateResponse, ApiError> {
        self.delete(&format!("/v1/links/{link}")).await
    }

    /// `POST /v1/transfers/{id}/receipts`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn post_receipt(&self, id: &TransferId, request: &ReceiptRequest) -> Result<ReceiptResponse, ApiError> {
        self.post(&format!("/v1/transfers/{id}/receipts"), request, SMALL).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, query: String, limit: usize) -> Result<T, ApiError> {
        from_json(&self.ask(&get_ask(path, query, limit)).await?)
    }

    async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        let ask = Ask {
            method: Method::DELETE,
            ..get_ask(path, String::new(), SMALL)
        };
        from_json(&self.ask(&ask).await?)
    }

    async fn bytes(&self, path: &str, limit: usize) -> Result<Vec<u8>, ApiError> {
        let answer = self.ask(&get_ask(path, String::new(), limit)).await;
        answer.map_err(ApiError::of_stored_bytes)
    }

    async fn text(&self, path: &str, query: String, limit: usize) -> Result<String, ApiError> {
        let bytes = self.ask(&get_ask(path, query, limit)).await?;
        String::from_utf8(bytes).map_err(|_| ApiError::Answer("it is not a text"))
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        request: &impl Serialize,
        limit: usize,
    ) -> Result<T, ApiError> {
        let ask = self.post_ask(path, "application/json", json(request)?, limit);
        from_json(&self.ask(&ask).await?)
    }

    /// A post whose answer says nothing beside its status.
    async fn post_json(&self, path: &str, request: &impl Serialize) -> Result<(), ApiError> {
        let ask = self.post_ask(path, "application/json", json(request)?, SMALL);
        self.ask(&ask).await.map(drop)
    }

    fn post_ask<'a>(&self, path: &'a str, content_type: &'static str, body: Vec<u8>, limit: usize) -> Ask<'a> {
        Ask {
            method: Method::POST,
            content_type: Some(content_type),
            body: Bytes::from(body),
            idempotency_key: Some(self.idempotency_key()),
            ..get_ask(path, String::new(), limit)
        }
    }
}

fn get_ask(path: &str, query: String, limit: usize) -> Ask<'_> {
    Ask {
        method: Method::GET,
        path,
        query,
        content_type: None,
        body: Bytes::new(),
        part_root: None,
        range: None,
        idempotency_key: None,
        limit,
    }
}

fn page(before: Option<u64>, limit: usize) -> String {
    match before {
        Some(before) => format!("before={before}&limit={limit}"),
        None => format!("limit={limit}"),
    }
}

fn json(request: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(request).map_err(|_| ApiError::Request("its body"))
}

fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|_| ApiError::Answer("its JSON"))
}
