exports.handler = (event) => "r";
