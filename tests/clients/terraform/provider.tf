provider "aws" {
  region                      = "us-east-1"
  profile                     = "selvedge"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true

  endpoints {
    lambda     = "http://127.0.0.1:8081"
    cloudfront = "http://127.0.0.1:8081"
  }
}
