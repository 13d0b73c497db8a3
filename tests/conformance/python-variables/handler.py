import os


def handler(event, context):
    names = ("_HANDLER", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "LAMBDA_TASK_ROOT", "TMPDIR", "TZ", "LANG")
    return [os.environ[name] for name in names] + [os.getcwd(), os.environ["AWS_EXECUTION_ENV"].startswith("AWS_Lambda_python3.")]
