"""A local server that speaks Vertex AI Feature Store's protocol, with faults on demand.

It serves the embedded store's file over gRPC (FeatureOnlineStoreService, v1 and v1beta1) and REST, so that whatever
reads Vertex AI Feature Store can be developed and broken on a laptop. Google ships no such emulator.

    client ──► proxy ──► grpc_server ──┐                       ┌──► rows ──► the embedded store's file
           (outlet, frames)            ├──► calls ──► faults   │
    client ──► web ──► rest ───────────┘      ├──► distortion ─┘
                        └──► admin            └──► answers

`emulator.Emulator` is the whole; `fault_rules` says what can go wrong.
"""

from features.emulator.emulator import Emulator

__all__ = ["Emulator"]
