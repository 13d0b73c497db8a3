// The module that handlers import by the name that it has in CloudFront Functions.
import { cloudfront } from "ext:runtime/key_values.js";

export default cloudfront;
