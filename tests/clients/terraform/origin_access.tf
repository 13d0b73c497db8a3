# How requests to the second origin are signed.

resource "aws_cloudfront_origin_access_control" "second" {
  name                              = "second"
  description                       = "for ${var.word}"
  origin_access_control_origin_type = "s3"
  signing_behavior                  = "always"
  signing_protocol                  = "sigv4"
}
