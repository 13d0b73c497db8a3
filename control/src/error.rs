//! The one place where a refusal gets its AWS name and status. Says nothing of how an
//! answer is written down: JSON and XML are `answer`'s.

use http::StatusCode;

/// A refusal, as a client gets it.
#[derive(Debug, thiserror::Error)]
#[error("{}: {message}", code.name)]
pub(crate) struct ApiError {
    pub(crate) code: Code,
    pub(crate) message: String,
    /// Lambda's `Reason` of a throttled request.
    pub(crate) reason: Option<&'static str>,
}

impl ApiError {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> ApiError {
        ApiError { code, message: message.into(), reason: None }
    }

    pub(crate) fn throttled(reason: &'static str, message: impl Into<String>) -> ApiError {
        ApiError { reason: Some(reason), ..ApiError::new(Code::TOO_MANY_REQUESTS, message) }
    }

    /// A fault of ours. The log has the reason, the client a sentence.
    pub(crate) fn of_ours(reason: &dyn std::fmt::Display) -> ApiError {
        tracing::error!("the control plane failed: {reason}");
        ApiError::new(Code::SERVICE, "the control plane failed; its log says why")
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Whether the fault is the caller's.
    pub(crate) fn is_callers(&self) -> bool {
        self.code.status < 500
    }
}

/// A member of the closed list of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code {
    pub(crate) status: u16,
    pub(crate) name: &'static str,
}

macro_rules! codes {
    ($($constant:ident = $status:literal $name:literal;)*) => {
        impl Code {
            $(pub(crate) const $constant: Code = Code { status: $status, name: $name };)*
        }
    };
}

// Of both services: what stands before them.
codes! {
    MISSING_TOKEN = 403 "MissingAuthenticationTokenException";
    INCOMPLETE_SIGNATURE = 400 "IncompleteSignatureException";
    UNKNOWN_KEY = 403 "UnrecognizedClientException";
    SIGNATURE = 403 "InvalidSignatureException";
    SERVICE = 500 "ServiceException";
    UNKNOWN_OPERATION = 404 "UnknownOperationException";
    BODY_TOO_LARGE = 413 "RequestEntityTooLargeException";
}

// AWS Lambda (its API reference, "Errors" of each operation).
codes! {
    INVALID_PARAMETER = 400 "InvalidParameterValueException";
    INVALID_CONTENT = 400 "InvalidRequestContentException";
    FORBIDDEN = 403 "AccessDeniedException";
    NOT_FOUND = 404 "ResourceNotFoundException";
    CONFLICT = 409 "ResourceConflictException";
    PRECONDITION = 412 "PreconditionFailedException";
    TOO_MANY_REQUESTS = 429 "TooManyRequestsException";
    PAYLOAD_TOO_LARGE = 413 "RequestTooLargeException";
    PROVISIONED_NOT_FOUND = 404 "ProvisionedConcurrencyConfigNotFoundException";
    POLICY_LENGTH = 400 "PolicyLengthExceededException";
    INVALID_CODE_SIGNATURE = 400 "InvalidCodeSignatureException";
    CODE_VERIFICATION = 400 "CodeVerificationFailedException";
    NO_SIGNING_CONFIG = 404 "CodeSigningConfigNotFoundException";
    INVALID_ZIP = 502 "InvalidZipFileException";
}

// Amazon CloudWatch Logs (its API reference, "Errors" of each operation).
codes! {
    NO_LOG = 400 "ResourceNotFoundException";
    INVALID_LOG_PARAMETER = 400 "InvalidParameterException";
}

// Amazon CloudFront KeyValueStore (its API reference, "Errors" of each operation).
codes! {
    STORE_CONFLICT = 409 "ConflictException";
    STORE_QUOTA = 402 "ServiceQuotaExceededException";
    VALIDATION = 400 "ValidationException";
}

// Amazon CloudFront (its API reference, "Errors" of each operation).
codes! {
    ALIAS_TAKEN = 409 "CNAMEAlreadyExists";
    CACHE_POLICY_EXISTS = 409 "CachePolicyAlreadyExists";
    CACHE_POLICY_IN_USE = 409 "CachePolicyInUse";
    CONTINUOUS_POLICY_EXISTS = 409 "ContinuousDeploymentPolicyAlreadyExists";
    CONTINUOUS_POLICY_IN_USE = 409 "ContinuousDeploymentPolicyInUse";
    DISTRIBUTION_EXISTS = 409 "DistributionAlreadyExists";
    DISTRIBUTION_ENABLED = 409 "DistributionNotDisabled";
    ILLEGAL_ORIGIN_ACCESS = 400 "IllegalOriginAccessConfiguration";
    ILLEGAL_DELETE = 400 "IllegalDelete";
    ILLEGAL_UPDATE = 400 "IllegalUpdate";
    INCONSISTENT_QUANTITIES = 400 "InconsistentQuantities";
    INVALID_ARGUMENT = 400 "InvalidArgument";
    INVALID_IF_MATCH = 400 "InvalidIfMatchVersion";
    INVALID_ASSOCIATION = 400 "InvalidLambdaFunctionAssociation";
    INVALID_ORIGIN_ACCESS_CONTROL = 400 "InvalidOriginAccessControl";
    INVALID_TAGGING = 400 "InvalidTagging";
    INVALID_TTL_ORDER = 400 "InvalidTTLOrder";
    IMMUTABLE_KEY = 400 "CannotChangeImmutablePublicKeyFields";
    ENTITY_EXISTS = 409 "EntityAlreadyExists";
    ENTITY_IN_USE = 409 "CannotDeleteEntityWhileInUse";
    ENTITY_LIMIT = 400 "EntityLimitExceeded";
    ENTITY_NOT_FOUND = 404 "EntityNotFound";
    ENTITY_SIZE = 413 "EntitySizeLimitExceeded";
    KEY_GROUP_EXISTS = 409 "KeyGroupAlreadyExists";
    MALFORMED_XML = 400 "MalformedXML";
    MISSING_BODY = 400 "MissingBody";
    NO_SUCH_CACHE_POLICY = 404 "NoSuchCachePolicy";
    NO_SUCH_CONTINUOUS_POLICY = 404 "NoSuchContinuousDeploymentPolicy";
    NO_SUCH_DISTRIBUTION = 404 "NoSuchDistribution";
    NO_SUCH_INVALIDATION = 404 "NoSuchInvalidation";
    NO_SUCH_ORIGIN = 404 "NoSuchOrigin";
    NO_SUCH_ORIGIN_ACCESS_CONTROL = 404 "NoSuchOriginAccessControl";
    NO_SUCH_ORIGIN_REQUEST_POLICY = 404 "NoSuchOriginRequestPolicy";
    NO_SUCH_PUBLIC_KEY = 404 "NoSuchPublicKey";
    NO_SUCH_TRUSTED_GROUP = 400 "TrustedKeyGroupDoesNotExist";
    NO_SUCH_RESOURCE = 404 "NoSuchResource";
    NO_SUCH_RESPONSE_HEADERS_POLICY = 404 "NoSuchResponseHeadersPolicy";
    ORIGIN_ACCESS_CONTROL_EXISTS = 409 "OriginAccessControlAlreadyExists";
    ORIGIN_ACCESS_CONTROL_IN_USE = 409 "OriginAccessControlInUse";
    ORIGIN_REQUEST_POLICY_EXISTS = 409 "OriginRequestPolicyAlreadyExists";
    ORIGIN_REQUEST_POLICY_IN_USE = 409 "OriginRequestPolicyInUse";
    PUBLIC_KEY_EXISTS = 409 "PublicKeyAlreadyExists";
    PUBLIC_KEY_IN_USE = 409 "PublicKeyInUse";
    RESOURCE_IN_USE = 409 "ResourceInUse";
    TOO_MANY_DISTRIBUTIONS_OF_CONTROL = 400 "TooManyDistributionsAssociatedToOriginAccessControl";
    TOO_MANY_ORIGIN_ACCESS_CONTROLS = 400 "TooManyOriginAccessControls";
    TOO_MANY_CONTINUOUS_POLICIES = 400 "TooManyContinuousDeploymentPolicies";
    TOO_MANY_DISTRIBUTIONS = 400 "TooManyDistributions";
    TOO_MANY_KEYS = 400 "TooManyPublicKeysInKeyGroup";
    RESPONSE_HEADERS_POLICY_EXISTS = 409 "ResponseHeadersPolicyAlreadyExists";
    RESPONSE_HEADERS_POLICY_IN_USE = 409 "ResponseHeadersPolicyInUse";
    STAGING_IN_USE = 409 "StagingDistributionInUse";
    STALE = 412 "PreconditionFailed";
    UNSUPPORTED = 400 "UnsupportedOperation";
}
