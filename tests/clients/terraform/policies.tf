# A policy of each kind, with each kind of selection.

resource "aws_cloudfront_cache_policy" "site" {
  name        = "site"
  comment     = "a minute"
  min_ttl     = 0
  default_ttl = 60
  max_ttl     = 600

  parameters_in_cache_key_and_forwarded_to_origin {
    enable_accept_encoding_gzip   = true
    enable_accept_encoding_brotli = true

    headers_config {
      header_behavior = "whitelist"
      headers {
        items = ["x-variant"]
      }
    }
    cookies_config {
      cookie_behavior = "none"
    }
    query_strings_config {
      query_string_behavior = "whitelist"
      query_strings {
        items = ["b", "a"]
      }
    }
  }
}

resource "aws_cloudfront_origin_request_policy" "site" {
  name    = "site"
  comment = ""

  headers_config {
    header_behavior = "whitelist"
    headers {
      items = ["x-tell-origin", "x-tell-more"]
    }
  }
  cookies_config {
    cookie_behavior = "all"
  }
  query_strings_config {
    query_string_behavior = "none"
  }
}

resource "aws_cloudfront_response_headers_policy" "site" {
  name    = "site"
  comment = "said of everything"

  cors_config {
    access_control_allow_credentials = false
    access_control_max_age_sec       = 300
    origin_override                  = true

    access_control_allow_headers {
      items = ["x-asked"]
    }
    access_control_allow_methods {
      items = ["GET", "HEAD"]
    }
    access_control_allow_origins {
      items = ["https://pages.test"]
    }
    access_control_expose_headers {
      items = ["x-shown"]
    }
  }

  custom_headers_config {
    items {
      header   = "x-own"
      value    = "yes"
      override = true
    }
  }

  remove_headers_config {
    items {
      header = "server"
    }
  }

  security_headers_config {
    content_type_options {
      override = true
    }
    frame_options {
      frame_option = "DENY"
      override     = true
    }
    referrer_policy {
      referrer_policy = "same-origin"
      override        = true
    }
    strict_transport_security {
      access_control_max_age_sec = 600
      include_subdomains         = true
      override                   = true
    }
  }

  server_timing_headers_config {
    enabled       = true
    sampling_rate = 50
  }
}
