# What the function reads beside its code, and who else may have it.

resource "aws_lambda_layer_version" "words" {
  layer_name               = "words"
  description              = "one word"
  license_info             = "MIT"
  filename                 = "words.zip"
  source_code_hash         = filebase64sha256("words.zip")
  compatible_runtimes      = ["nodejs20.x", "nodejs22.x"]
  compatible_architectures = ["x86_64"]
}

resource "aws_lambda_layer_version_permission" "words" {
  layer_name     = aws_lambda_layer_version.words.layer_name
  version_number = aws_lambda_layer_version.words.version
  statement_id   = "others"
  action         = "lambda:GetLayerVersion"
  principal      = "123456789012"
}

data "aws_lambda_layer_version" "latest" {
  layer_name = "words"
  depends_on = [aws_lambda_layer_version.words]
}

output "layer" {
  value = data.aws_lambda_layer_version.latest.arn
}
