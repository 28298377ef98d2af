# syntax=docker/dockerfile:1
# Two stages: one that installs, one that runs. The running one has no shell, no package manager and no compiler.
# Every RUN is a plain command in exec form, so each step can be tried without Docker.

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements.lock ./
# --no-deps: the lock is whole, and CatBoost's plotting packages (120 MB) are left out of it on purpose.
RUN ["python", "-m", "pip", "install", "--no-deps", "--require-hashes", "--no-compile", \
     "--target", "/app/lib", "--requirement", "requirements.lock"]
COPY pyproject.toml README.md LICENSE ./
COPY features features
COPY model model
COPY service service
# The build backend is in the lock; it is found on PYTHONPATH and nothing is fetched.
RUN ["env", "PYTHONPATH=/app/lib", "python", "-m", "pip", "install", "--no-deps", "--no-build-isolation", \
     "--no-index", "--no-compile", "--target", "/app/lib", "."]
# The libraries' own tests (60 MB) are never imported.
RUN ["find", "/app/lib", "-type", "d", "-name", "tests", "-prune", "-exec", "rm", "-r", "{}", "+"]
# Without bytecode every cold start compiles for seconds. unchecked-hash: the files never change, so nobody looks.
RUN ["python", "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", "/app/lib"]

# Debian 12's own Python 3.11 on distroless; bytecode is the same for all of 3.11.
FROM gcr.io/distroless/python3-debian12:nonroot
WORKDIR /app
COPY --from=build /app/lib /app/lib
ENV PYTHONPATH=/app/lib \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
EXPOSE 8080
# Listens on AIP_HTTP_PORT, PORT or 8080. Exec form: the service itself is process 1 and gets SIGTERM.
ENTRYPOINT ["/usr/bin/python3.11", "-m", "service"]
