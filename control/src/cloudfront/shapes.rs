//! The structures of CloudFront's API that this edge reads and writes (its API reference,
//! "Data Types"), with the defaults that the service shows.

use super::shape::Shape::{Flag, Fraction, List, Number, Struct, Text};
use super::shape::{Field, Shape, defaulted, optional, required};

macro_rules! named {
    ($child:literal) => {
        Struct(&[required("Quantity", Number), defaulted("Items", List($child, &Text), "[]")])
    };
}

const NONE: &str = "{\"Quantity\": 0}";
const DISABLED: &str = "{\"Enabled\": false, \"Quantity\": 0}";

const CUSTOM_HEADER: Shape = Struct(&[required("HeaderName", Text), required("HeaderValue", Text)]);
const CUSTOM_HEADERS: Shape =
    Struct(&[required("Quantity", Number), defaulted("Items", List("OriginCustomHeader", &CUSTOM_HEADER), "[]")]);

const CUSTOM_ORIGIN: Shape = Struct(&[
    required("HTTPPort", Number),
    required("HTTPSPort", Number),
    required("OriginProtocolPolicy", Text),
    defaulted("OriginSslProtocols", named!("SslProtocol"), "{\"Quantity\": 1, \"Items\": [\"TLSv1.2\"]}"),
    defaulted("OriginReadTimeout", Number, "30"),
    defaulted("OriginKeepaliveTimeout", Number, "5"),
    optional("IpAddressType", Text),
]);

const ORIGIN: Shape = Struct(&[
    required("Id", Text),
    required("DomainName", Text),
    defaulted("OriginPath", Text, "\"\""),
    defaulted("CustomHeaders", CUSTOM_HEADERS, NONE),
    optional(
        "S3OriginConfig",
        Struct(&[required("OriginAccessIdentity", Text), defaulted("OriginReadTimeout", Number, "30")]),
    ),
    optional("CustomOriginConfig", CUSTOM_ORIGIN),
    optional("VpcOriginConfig", Struct(&[required("VpcOriginId", Text)])),
    defaulted("ConnectionAttempts", Number, "3"),
    defaulted("ConnectionTimeout", Number, "10"),
    optional("ResponseCompletionTimeout", Number),
    defaulted(
        "OriginShield",
        Struct(&[required("Enabled", Flag), optional("OriginShieldRegion", Text)]),
        "{\"Enabled\": false}",
    ),
    defaulted("OriginAccessControlId", Text, "\"\""),
]);

const ORIGIN_GROUP: Shape = Struct(&[
    required("Id", Text),
    required(
        "FailoverCriteria",
        Struct(&[required(
            "StatusCodes",
            Struct(&[required("Quantity", Number), required("Items", List("StatusCode", &Number))]),
        )]),
    ),
    required(
        "Members",
        Struct(&[
            required("Quantity", Number),
            required("Items", List("OriginGroupMember", &Struct(&[required("OriginId", Text)]))),
        ]),
    ),
    optional("SelectionCriteria", Text),
]);

const METHODS: &[Field] = &[
    required("Quantity", Number),
    required("Items", List("Method", &Text)),
    defaulted(
        "CachedMethods",
        Struct(&[required("Quantity", Number), required("Items", List("Method", &Text))]),
        "{\"Quantity\": 2, \"Items\": [\"HEAD\", \"GET\"]}",
    ),
];

const LAMBDA_ASSOCIATION: Shape = Struct(&[
    required("LambdaFunctionARN", Text),
    required("EventType", Text),
    defaulted("IncludeBody", Flag, "false"),
]);
const FUNCTION_ASSOCIATION: Shape = Struct(&[required("FunctionARN", Text), required("EventType", Text)]);

const FORWARDED: Shape = Struct(&[
    required("QueryString", Flag),
    required("Cookies", Struct(&[required("Forward", Text), optional("WhitelistedNames", named!("Name"))])),
    defaulted("Headers", named!("Name"), NONE),
    defaulted("QueryStringCacheKeys", named!("Name"), NONE),
]);

macro_rules! trusted {
    ($child:literal) => {
        Struct(&[
            required("Enabled", Flag),
            required("Quantity", Number),
            defaulted("Items", List($child, &Text), "[]"),
        ])
    };
}

macro_rules! behavior {
    ($($first:expr)?) => {
        Struct(&[
            $($first,)?
            required("TargetOriginId", Text),
            defaulted("TrustedSigners", trusted!("AwsAccountNumber"), DISABLED),
            defaulted("TrustedKeyGroups", trusted!("KeyGroup"), DISABLED),
            required("ViewerProtocolPolicy", Text),
            defaulted("AllowedMethods", Struct(METHODS), "{\"Quantity\": 2, \"Items\": [\"HEAD\", \"GET\"]}"),
            defaulted("SmoothStreaming", Flag, "false"),
            defaulted("Compress", Flag, "false"),
            defaulted(
                "LambdaFunctionAssociations",
                Struct(&[
                    required("Quantity", Number),
                    defaulted("Items", List("LambdaFunctionAssociation", &LAMBDA_ASSOCIATION), "[]"),
                ]),
                NONE,
            ),
            defaulted(
                "FunctionAssociations",
                Struct(&[
                    required("Quantity", Number),
                    defaulted("Items", List("FunctionAssociation", &FUNCTION_ASSOCIATION), "[]"),
                ]),
                NONE,
            ),
            defaulted("FieldLevelEncryptionId", Text, "\"\""),
            optional("RealtimeLogConfigArn", Text),
            optional("CachePolicyId", Text),
            optional("OriginRequestPolicyId", Text),
            optional("ResponseHeadersPolicyId", Text),
            defaulted("GrpcConfig", Struct(&[required("Enabled", Flag)]), "{\"Enabled\": false}"),
            optional("ForwardedValues", FORWARDED),
            optional("MinTTL", Number),
            optional("DefaultTTL", Number),
            optional("MaxTTL", Number),
        ])
    };
}

const BEHAVIOR: Shape = behavior!(required("PathPattern", Text));
const DEFAULT_BEHAVIOR: Shape = behavior!();

const ERROR_RESPONSE: Shape = Struct(&[
    required("ErrorCode", Number),
    defaulted("ResponsePagePath", Text, "\"\""),
    defaulted("ResponseCode", Text, "\"\""),
    defaulted("ErrorCachingMinTTL", Number, "10"),
]);

const LOGGING: Shape = Struct(&[
    defaulted("Enabled", Flag, "false"),
    defaulted("IncludeCookies", Flag, "false"),
    defaulted("Bucket", Text, "\"\""),
    defaulted("Prefix", Text, "\"\""),
]);

const CERTIFICATE: Shape = Struct(&[
    defaulted("CloudFrontDefaultCertificate", Flag, "false"),
    optional("IAMCertificateId", Text),
    optional("ACMCertificateArn", Text),
    defaulted("SSLSupportMethod", Text, "\"vip\""),
    defaulted("MinimumProtocolVersion", Text, "\"TLSv1\""),
    optional("Certificate", Text),
    defaulted("CertificateSource", Text, "\"cloudfront\""),
]);

const GEO: Shape = Struct(&[
    required("RestrictionType", Text),
    required("Quantity", Number),
    defaulted("Items", List("Location", &Text), "[]"),
]);

/// AWS: "DistributionConfig".
pub(crate) const DISTRIBUTION: Shape = Struct(&[
    required("CallerReference", Text),
    defaulted("Aliases", named!("CNAME"), NONE),
    defaulted("DefaultRootObject", Text, "\"\""),
    required("Origins", Struct(&[required("Quantity", Number), required("Items", List("Origin", &ORIGIN))])),
    defaulted(
        "OriginGroups",
        Struct(&[required("Quantity", Number), defaulted("Items", List("OriginGroup", &ORIGIN_GROUP), "[]")]),
        NONE,
    ),
    required("DefaultCacheBehavior", DEFAULT_BEHAVIOR),
    defaulted(
        "CacheBehaviors",
        Struct(&[required("Quantity", Number), defaulted("Items", List("CacheBehavior", &BEHAVIOR), "[]")]),
        NONE,
    ),
    defaulted(
        "CustomErrorResponses",
        Struct(&[required("Quantity", Number), defaulted("Items", List("CustomErrorResponse", &ERROR_RESPONSE), "[]")]),
        NONE,
    ),
    required("Comment", Text),
    defaulted("Logging", LOGGING, "{}"),
    defaulted("PriceClass", Text, "\"PriceClass_All\""),
    required("Enabled", Flag),
    defaulted("ViewerCertificate", CERTIFICATE, "{\"CloudFrontDefaultCertificate\": true}"),
    defaulted(
        "Restrictions",
        Struct(&[required("GeoRestriction", GEO)]),
        "{\"GeoRestriction\": {\"RestrictionType\": \"none\", \"Quantity\": 0}}",
    ),
    defaulted("WebACLId", Text, "\"\""),
    defaulted("HttpVersion", Text, "\"http2\""),
    defaulted("IsIPV6Enabled", Flag, "false"),
    defaulted("ContinuousDeploymentPolicyId", Text, "\"\""),
    defaulted("Staging", Flag, "false"),
    optional("AnycastIpListId", Text),
    optional("ConnectionMode", Text),
    optional("CacheTagConfig", Struct(&[required("HeaderName", Text)])),
]);

macro_rules! selected {
    ($behavior:literal, $list:literal) => {
        Struct(&[required($behavior, Text), optional($list, named!("Name"))])
    };
}

const KEY_PARAMETERS: Shape = Struct(&[
    required("EnableAcceptEncodingGzip", Flag),
    defaulted("EnableAcceptEncodingBrotli", Flag, "false"),
    required("HeadersConfig", selected!("HeaderBehavior", "Headers")),
    required("CookiesConfig", selected!("CookieBehavior", "Cookies")),
    required("QueryStringsConfig", selected!("QueryStringBehavior", "QueryStrings")),
]);

/// AWS: "PublicKeyConfig".
pub(crate) const PUBLIC_KEY: Shape = Struct(&[
    required("CallerReference", Text),
    required("Name", Text),
    required("EncodedKey", Text),
    defaulted("Comment", Text, "\"\""),
]);

/// AWS: "KeyGroupConfig".
pub(crate) const KEY_GROUP: Shape =
    Struct(&[required("Name", Text), required("Items", List("PublicKey", &Text)), defaulted("Comment", Text, "\"\"")]);

/// AWS: "OriginAccessControlConfig".
pub(crate) const ORIGIN_ACCESS_CONTROL: Shape = Struct(&[
    required("Name", Text),
    defaulted("Description", Text, "\"\""),
    required("SigningProtocol", Text),
    required("SigningBehavior", Text),
    required("OriginAccessControlOriginType", Text),
]);

/// AWS: "CachePolicyConfig".
pub(crate) const CACHE_POLICY: Shape = Struct(&[
    defaulted("Comment", Text, "\"\""),
    required("Name", Text),
    defaulted("DefaultTTL", Number, "86400"),
    defaulted("MaxTTL", Number, "31536000"),
    required("MinTTL", Number),
    defaulted("ParametersInCacheKeyAndForwardedToOrigin", KEY_PARAMETERS, NOTHING_IN_KEY),
]);

const NOTHING_IN_KEY: &str = "{\"EnableAcceptEncodingGzip\": false, \"HeadersConfig\": {\"HeaderBehavior\": \"none\"}, \
    \"CookiesConfig\": {\"CookieBehavior\": \"none\"}, \"QueryStringsConfig\": {\"QueryStringBehavior\": \"none\"}}";

/// AWS: "OriginRequestPolicyConfig".
pub(crate) const ORIGIN_REQUEST_POLICY: Shape = Struct(&[
    defaulted("Comment", Text, "\"\""),
    required("Name", Text),
    required("HeadersConfig", selected!("HeaderBehavior", "Headers")),
    required("CookiesConfig", selected!("CookieBehavior", "Cookies")),
    required("QueryStringsConfig", selected!("QueryStringBehavior", "QueryStrings")),
]);

macro_rules! texts {
    ($child:literal) => {
        Struct(&[required("Quantity", Number), required("Items", List($child, &Text))])
    };
}

const CORS: Shape = Struct(&[
    required("AccessControlAllowOrigins", texts!("Origin")),
    required("AccessControlAllowHeaders", texts!("Header")),
    required("AccessControlAllowMethods", texts!("Method")),
    required("AccessControlAllowCredentials", Flag),
    optional("AccessControlExposeHeaders", texts!("Header")),
    optional("AccessControlMaxAgeSec", Number),
    required("OriginOverride", Flag),
]);

const SECURITY_HEADERS: Shape = Struct(&[
    optional(
        "XSSProtection",
        Struct(&[
            required("Override", Flag),
            required("Protection", Flag),
            optional("ModeBlock", Flag),
            optional("ReportUri", Text),
        ]),
    ),
    optional("FrameOptions", Struct(&[required("Override", Flag), required("FrameOption", Text)])),
    optional("ReferrerPolicy", Struct(&[required("Override", Flag), required("ReferrerPolicy", Text)])),
    optional("ContentSecurityPolicy", Struct(&[required("Override", Flag), required("ContentSecurityPolicy", Text)])),
    optional("ContentTypeOptions", Struct(&[required("Override", Flag)])),
    optional(
        "StrictTransportSecurity",
        Struct(&[
            required("Override", Flag),
            optional("IncludeSubdomains", Flag),
            optional("Preload", Flag),
            required("AccessControlMaxAgeSec", Number),
        ]),
    ),
]);

const ADDED_HEADER: Shape = Struct(&[required("Header", Text), required("Value", Text), required("Override", Flag)]);

/// AWS: "ResponseHeadersPolicyConfig".
pub(crate) const RESPONSE_HEADERS_POLICY: Shape = Struct(&[
    defaulted("Comment", Text, "\"\""),
    required("Name", Text),
    optional("CorsConfig", CORS),
    optional("SecurityHeadersConfig", SECURITY_HEADERS),
    optional("ServerTimingHeadersConfig", Struct(&[required("Enabled", Flag), optional("SamplingRate", Fraction)])),
    optional(
        "CustomHeadersConfig",
        Struct(&[
            required("Quantity", Number),
            defaulted("Items", List("ResponseHeadersPolicyCustomHeader", &ADDED_HEADER), "[]"),
        ]),
    ),
    optional(
        "RemoveHeadersConfig",
        Struct(&[
            required("Quantity", Number),
            defaulted("Items", List("ResponseHeadersPolicyRemoveHeader", &Struct(&[required("Header", Text)])), "[]"),
        ]),
    ),
]);

const TAG: Shape = Struct(&[required("Key", Text), defaulted("Value", Text, "\"\"")]);

/// AWS: "Tags".
pub(crate) const TAGS: Shape = Struct(&[defaulted("Items", List("Tag", &TAG), "[]")]);

/// AWS: "TagKeys".
pub(crate) const TAG_KEYS: Shape = Struct(&[defaulted("Items", List("Key", &Text), "[]")]);

/// AWS: "DistributionConfigWithTags".
pub(crate) const DISTRIBUTION_WITH_TAGS: Shape =
    Struct(&[required("DistributionConfig", DISTRIBUTION), required("Tags", TAGS)]);

/// AWS: "InvalidationBatch".
pub(crate) const INVALIDATION: Shape = Struct(&[required("Paths", named!("Path")), required("CallerReference", Text)]);

const IMPORT_SOURCE: Shape = Struct(&[required("SourceType", Text), required("SourceARN", Text)]);

/// AWS: "CreateKeyValueStore", its request.
pub(crate) const CREATE_KEY_VALUE_STORE: Shape = Struct(&[
    required("Name", Text),
    defaulted("Comment", Text, "\"\""),
    optional("ImportSource", IMPORT_SOURCE),
    optional("Tags", TAGS),
]);

/// AWS: "UpdateKeyValueStore", its request.
pub(crate) const UPDATE_KEY_VALUE_STORE: Shape = Struct(&[required("Comment", Text)]);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::Element;

    #[test]
    fn a_minimal_distribution_is_shown_with_every_default() {
        let text = "<DistributionConfig><CallerReference>c</CallerReference><Comment/><Enabled>true</Enabled>\
            <Origins><Quantity>1</Quantity><Items><Origin><Id>o</Id><DomainName>d</DomainName></Origin></Items></Origins>\
            <DefaultCacheBehavior><TargetOriginId>o</TargetOriginId><ViewerProtocolPolicy>allow-all</ViewerProtocolPolicy>\
            </DefaultCacheBehavior></DistributionConfig>";
        let value = DISTRIBUTION.read(&Element::parse(text.as_bytes()).unwrap()).unwrap();
        assert_eq!(value["Origins"]["Items"][0]["ConnectionAttempts"], 3);
        assert_eq!(value["ViewerCertificate"]["CloudFrontDefaultCertificate"], true);
        assert_eq!(value["DefaultCacheBehavior"]["AllowedMethods"]["CachedMethods"]["Quantity"], 2);
        assert_eq!(value["Logging"]["Bucket"], "");
        let mut out = String::new();
        DISTRIBUTION.write(&mut out, "DistributionConfig", &value);
        assert_eq!(DISTRIBUTION.read(&Element::parse(out.as_bytes()).unwrap()).unwrap(), value);
    }
}
