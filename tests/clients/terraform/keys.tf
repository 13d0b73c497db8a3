# Who may see what is private: the holders of these keys.

resource "aws_cloudfront_public_key" "readers" {
  name        = "readers"
  comment     = "of the readers"
  encoded_key = file("readers.pem")
}

resource "aws_cloudfront_key_group" "readers" {
  name    = "readers"
  comment = "who has paid"
  items   = [aws_cloudfront_public_key.readers.id]
}
