"""A function of Python, on the interpreter that the configuration file names."""

import json
import os

from common import ROLE, client, equal, package

lam = client("lambda")
CODE = "import sys\ndef lambda_handler(event, context):\n    return sys.executable\n"
archive = package(CODE, "lambda_function.py")
settings = dict(Runtime=os.environ["RUNTIME"], Role=ROLE, Handler="lambda_function.lambda_handler", Timeout=10)
lam.create_function(FunctionName="py", Code={"ZipFile": archive}, **settings)
equal(json.load(lam.invoke(FunctionName="py")["Payload"]), os.environ["INTERPRETER"])
