# What the function has beside its code: environments that wait, a URL, and whose packages it takes.

resource "aws_lambda_provisioned_concurrency_config" "live" {
  function_name                     = aws_lambda_function.mark.function_name
  qualifier                         = aws_lambda_alias.live.name
  provisioned_concurrent_executions = 1
}

resource "aws_lambda_function_url" "live" {
  function_name      = aws_lambda_function.mark.function_name
  qualifier          = aws_lambda_alias.live.name
  authorization_type = "NONE"

  cors {
    allow_credentials = false
    allow_headers     = ["x-asked"]
    allow_methods     = ["GET", "POST"]
    allow_origins     = ["https://pages.test"]
    max_age           = 300
  }
}

resource "aws_lambda_code_signing_config" "release" {
  description = "the release key, or a warning"

  allowed_publishers {
    signing_profile_version_arns = [var.publisher]
  }
  policies {
    untrusted_artifact_on_deployment = "Warn"
  }

  tags = { word = var.word }
}

variable "publisher" {
  type    = string
  default = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/release/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
}

output "url" {
  value = aws_lambda_function_url.live.function_url
}

output "code_signing" {
  value = aws_lambda_code_signing_config.release.arn
}
