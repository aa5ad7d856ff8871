//! The closed sets of values that labels have.

/// Makes an enum whose variants are all the values that a label has.
macro_rules! label {
    ($(#[doc = $doc:literal])+ $name:ident {
        $($(#[doc = $variant_doc:literal])+ $variant:ident = $text:literal,)+
    }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[doc = $variant_doc])+ $variant,)+
        }

        impl $name {
            /// All of them, in their order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// As it is written.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }
    };
}

label! {
    /// What a request is about. The first seven have the names of Distribution's handlers.
    Route {
        /// `/v2/`
        Base = "base",
        /// A manifest by tag or digest.
        Manifest = "manifest",
        /// The list of repositories.
        Catalog = "catalog",
        /// The list of a repository's tags.
        Tags = "tags",
        /// A blob.
        Blob = "blob",
        /// The start of an upload, a mount, or a blob in one request.
        BlobUpload = "blob_upload",
        /// An upload session.
        BlobUploadChunk = "blob_upload_chunk",
        /// The token endpoint.
        Token = "token",
        /// What refers to a manifest.
        Referrers = "referrers",
        /// Extensions.
        Extension = "extension",
        /// Probes of health.
        Health = "health",
        /// These metrics.
        Metrics = "metrics",
        /// Any other path, and what could not be read as a request.
        None = "none",
    }
}

impl Route {
    /// Whether Distribution has a handler of this name.
    pub const fn is_distributions(self) -> bool {
        (self as usize) <= Self::BlobUploadChunk as usize
    }
}

label! {
    /// The method of a request, written as Distribution does.
    Method {
        /// `GET`
        Get = "get",
        /// `HEAD`
        Head = "head",
        /// `POST`
        Post = "post",
        /// `PUT`
        Put = "put",
        /// `PATCH`
        Patch = "patch",
        /// `DELETE`
        Delete = "delete",
        /// `OPTIONS`
        Options = "options",
        /// Any other.
        Other = "other",
    }
}

impl Method {
    /// The label of a method as it was sent.
    pub fn of(token: &str) -> Self {
        match token {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            _ => Self::Other,
        }
    }
}

/// The statuses that are counted by themselves; all others are counted as `other`.
pub const STATUSES: [u16; 32] = [
    200, 201, 202, 204, 206, 301, 304, 307, 400, 401, 403, 404, 405, 406, 408, 409, 411, 412, 413,
    414, 415, 416, 417, 422, 429, 431, 500, 501, 502, 503, 505, 507,
];

label! {
    /// An action of the store, by Distribution's name for it.
    Action {
        /// A row or a small content is read.
        GetContent = "GetContent",
        /// A row or a small content is written.
        PutContent = "PutContent",
        /// The length of a file is looked up.
        Stat = "Stat",
        /// A folder is read.
        List = "List",
        /// A file gets another name.
        Move = "Move",
        /// A file is removed.
        Delete = "Delete",
    }
}

label! {
    /// How somebody showed who they are.
    LoginKind {
        /// A name and a password, or a machine's token in its place.
        Password = "password",
        /// A Bearer token.
        Token = "token",
    }
}

label! {
    /// What became of a login.
    LoginOutcome {
        /// Somebody was let in.
        Accepted = "accepted",
        /// The credential was not good.
        Refused = "refused",
        /// It came too early after failures.
        Throttled = "throttled",
        /// Too many were being verified.
        Busy = "busy",
        /// The accounts could not be read.
        Failed = "failed",
    }
}

label! {
    /// Why a request that could be read was refused.
    RefusedFor {
        /// No credential, or one that is not good or not enough.
        Unauthorized = "unauthorized",
        /// Whoever asked may not do it.
        Forbidden = "forbidden",
        /// Logins failed too often, or too many are being verified.
        Logins = "logins",
        /// A client or an account asks for too much.
        Limit = "limit",
        /// Nothing may be written.
        ReadOnly = "read_only",
        /// A quota.
        Quota = "quota",
        /// There is no room on the disk above the reserve.
        Room = "room",
        /// There are as many unfinished uploads as there may be.
        Uploads = "uploads",
        /// A tag that must not move.
        Immutable = "immutable",
        /// The store failed.
        Store = "store",
    }
}
