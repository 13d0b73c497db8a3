# The distribution: the function at its four hooks, the policies, and behaviors beside them.

variable "origin_host" {
  type = string
}

variable "origin_port" {
  type = number
}

variable "word" {
  type = string
}

data "aws_cloudfront_cache_policy" "disabled" {
  name = "Managed-CachingDisabled"
}

data "aws_cloudfront_origin_request_policy" "all" {
  name = "Managed-AllViewer"
}

data "aws_cloudfront_response_headers_policy" "security" {
  name = "Managed-SecurityHeadersPolicy"
}

locals {
  hooks = {
    viewer-request  = true
    origin-request  = true
    origin-response = false
    viewer-response = false
  }
}

resource "aws_cloudfront_distribution" "site" {
  enabled             = true
  comment             = "the site"
  aliases             = ["www.terraform.test", "terraform.test", "www.example.net"]
  default_root_object = "index.html"
  price_class         = "PriceClass_100"
  is_ipv6_enabled     = true
  # Once is enough: the provider pauses for half a minute before it looks.
  wait_for_deployment = var.word == "one"

  origin {
    origin_id   = "first"
    domain_name = var.origin_host

    custom_origin_config {
      http_port              = var.origin_port
      https_port             = 443
      origin_protocol_policy = "http-only"
      origin_ssl_protocols   = ["TLSv1.2"]
    }
    custom_header {
      name  = "x-from"
      value = "the edge"
    }
  }

  origin {
    origin_id                = "second"
    domain_name              = var.origin_host
    origin_path              = "/second"
    connection_attempts      = 2
    connection_timeout       = 5
    origin_access_control_id = aws_cloudfront_origin_access_control.second.id

    custom_origin_config {
      http_port                = var.origin_port
      https_port               = 443
      origin_protocol_policy   = "http-only"
      origin_ssl_protocols     = ["TLSv1.2"]
      origin_read_timeout      = 20
      origin_keepalive_timeout = 10
    }
  }

  origin_group {
    origin_id = "both"

    failover_criteria {
      status_codes = [500, 503]
    }
    member {
      origin_id = "first"
    }
    member {
      origin_id = "second"
    }
  }

  default_cache_behavior {
    target_origin_id           = "first"
    viewer_protocol_policy     = "allow-all"
    allowed_methods            = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
    cached_methods             = ["GET", "HEAD"]
    compress                   = true
    cache_policy_id            = aws_cloudfront_cache_policy.site.id
    origin_request_policy_id   = aws_cloudfront_origin_request_policy.site.id
    response_headers_policy_id = aws_cloudfront_response_headers_policy.site.id

    dynamic "lambda_function_association" {
      for_each = local.hooks
      content {
        event_type   = lambda_function_association.key
        lambda_arn   = aws_lambda_function.mark.qualified_arn
        include_body = lambda_function_association.value
      }
    }
  }

  ordered_cache_behavior {
    path_pattern               = "/plain/*"
    target_origin_id           = "both"
    viewer_protocol_policy     = "allow-all"
    allowed_methods            = ["GET", "HEAD"]
    cached_methods             = ["GET", "HEAD"]
    cache_policy_id            = data.aws_cloudfront_cache_policy.disabled.id
    origin_request_policy_id   = data.aws_cloudfront_origin_request_policy.all.id
    response_headers_policy_id = data.aws_cloudfront_response_headers_policy.security.id
  }

  ordered_cache_behavior {
    path_pattern             = "/private/*"
    target_origin_id         = "first"
    viewer_protocol_policy   = "allow-all"
    allowed_methods          = ["GET", "HEAD"]
    cached_methods           = ["GET", "HEAD"]
    cache_policy_id          = data.aws_cloudfront_cache_policy.disabled.id
    origin_request_policy_id = data.aws_cloudfront_origin_request_policy.all.id
    trusted_key_groups       = [aws_cloudfront_key_group.readers.id]
  }

  ordered_cache_behavior {
    path_pattern           = "/old/*"
    target_origin_id       = "first"
    viewer_protocol_policy = "allow-all"
    allowed_methods        = ["GET", "HEAD", "OPTIONS"]
    cached_methods         = ["GET", "HEAD"]
    min_ttl                = 0
    default_ttl            = 30
    max_ttl                = 300

    forwarded_values {
      query_string            = true
      query_string_cache_keys = ["page"]
      headers                 = ["x-variant"]

      cookies {
        forward           = "whitelist"
        whitelisted_names = ["session"]
      }
    }
  }

  custom_error_response {
    error_code            = 404
    error_caching_min_ttl = 5
    response_code         = 200
    response_page_path    = "/plain/missing.html"
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }

  viewer_certificate {
    cloudfront_default_certificate = true
  }

  tags = { team = "edge", word = var.word }
}

output "domain" {
  value = aws_cloudfront_distribution.site.domain_name
}

output "arn" {
  value = aws_cloudfront_distribution.site.arn
}
