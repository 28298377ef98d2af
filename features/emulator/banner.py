"""What the emulator says when it is ready: how to point the service and Google's SDK at it."""

_SNIPPET = """\
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform
from vertexai.resources.preview import FeatureView

aiplatform.init(
    project="demo",
    location="us-central1",
    credentials=AnonymousCredentials(),
    api_transport="rest",
    api_endpoint="http://localhost:{rest_port}",
)
view = FeatureView("{view}", feature_online_store_id="demo")
print(view.read(key=["{key}"]).to_dict())
"""

_BANNER = """\
Vertex AI Feature Store emulator: gRPC on {port}, REST on {rest_port}

Point Keyscore at it:
  KEYSCORE_STORE=vertex KEYSCORE_VERTEX_ENDPOINT=localhost:{port} \
KEYSCORE_VERTEX_REST_ENDPOINT=localhost:{rest_port} KEYSCORE_VERTEX_PLAINTEXT=1 keyscore serve

Google's SDK (FeatureView.read wants a list of key parts):
{snippet}
Faults and counts:
  curl -X PUT localhost:{rest_port}/_emulator/faults -d '[{{"kind": "latency", "ms": 20}}]'
  curl localhost:{rest_port}/_emulator/reads
"""


def sdk_snippet(rest_port: int, view: str = "customer_account", key: str = "C00017") -> str:
    """A program that reads one entity through google-cloud-aiplatform, unpatched."""
    return _SNIPPET.format(rest_port=rest_port, view=view, key=key)


def banner(port: int, rest_port: int) -> str:
    """What to print when both ports are open."""
    snippet = "".join(f"  {line}\n" for line in sdk_snippet(rest_port).splitlines())
    return _BANNER.format(port=port, rest_port=rest_port, snippet=snippet)
