# A function at every hook, what points to it, and where its failures go.

resource "aws_lambda_function" "mark" {
  function_name    = "mark"
  description      = "marks what passes"
  role             = "arn:aws:iam::000000000000:role/any"
  runtime          = "nodejs22.x"
  handler          = "index.handler"
  filename         = "mark.zip"
  source_code_hash = filebase64sha256("mark.zip")
  publish          = true
  timeout          = 5
  layers           = [aws_lambda_layer_version.words.arn]
  memory_size      = 256

  reserved_concurrent_executions = 20
  code_signing_config_arn        = aws_lambda_code_signing_config.release.arn

  environment {
    variables = { WORD = var.word }
  }

  tags = { team = "edge", word = var.word }
}

resource "aws_lambda_function" "failures" {
  function_name = "failures"
  role          = "arn:aws:iam::000000000000:role/any"
  runtime       = "nodejs22.x"
  handler       = "index.handler"
  filename      = "mark.zip"

  dead_letter_config {
    target_arn = "arn:aws:sqs:us-east-1:000000000000:failed"
  }
}

resource "aws_lambda_alias" "live" {
  name             = "live"
  description      = "what is served"
  function_name    = aws_lambda_function.mark.function_name
  function_version = aws_lambda_function.mark.version
}

resource "aws_lambda_permission" "edge" {
  statement_id  = "AllowTheEdge"
  action        = "lambda:GetFunction"
  function_name = aws_lambda_function.mark.function_name
  qualifier     = aws_lambda_alias.live.name
  principal     = "edgelambda.amazonaws.com"
  source_arn    = aws_cloudfront_distribution.site.arn
}

resource "aws_lambda_function_event_invoke_config" "live" {
  function_name                = aws_lambda_function.mark.function_name
  qualifier                    = aws_lambda_alias.live.name
  maximum_event_age_in_seconds = 600
  maximum_retry_attempts       = 1

  destination_config {
    on_failure {
      destination = aws_lambda_function.failures.arn
    }
    on_success {
      destination = "arn:aws:sqs:us-east-1:000000000000:done"
    }
  }
}
