# One image per service, and one for the page: docker build --target ingest|split|sink|web --tag NAME .
# Nothing here needs BuildKit: the classic builder makes the same images.

# The loops over record batches and rows in C, with a compiler that stays behind. Without one the services do all the same, slower.
FROM python:3.13-slim AS compile
COPY requirements-build.txt /
# A Python that comes from Debian has its C headers in a package of their own.
RUN headers=$(python -c 'import sysconfig; print(sysconfig.get_path("include"))'); \
    { apt-get update \
      && apt-get install --yes --no-install-recommends gcc libc6-dev $(test -e "$headers/Python.h" || echo python3-dev) \
      && rm -rf /var/lib/apt/lists/*; } \
    || echo "no C compiler to be had: the images are made without compiled loops" >&2
RUN pip install --require-hashes --only-binary :all: --no-cache-dir --disable-pip-version-check \
        --root-user-action ignore --requirement /requirements-build.txt
WORKDIR /compile
COPY common/__init__.py common/
COPY common/batches/__init__.py common/batches/compiled.pyx common/batches/
COPY common/rows/__init__.py common/rows/compiled.pyx common/rows/
RUN ! command -v gcc || { cythonize --inplace common/*/compiled.pyx && strip common/*/compiled.*.so && rm common/*/compiled.c; }


FROM python:3.13-slim AS build
# Without a pip of its own: the base's installs into it, and no installer comes with the services.
RUN python -m venv --without-pip /venv
COPY requirements.txt /
RUN pip --python /venv/bin/python install --require-hashes --only-binary :all: --no-cache-dir --no-compile \
        --disable-pip-version-check --root-user-action ignore --requirement /requirements.txt
WORKDIR /app
COPY --from=compile /compile/common common
COPY common common
COPY ops ops
COPY services services
# Readable whatever the checkout's umask was, and compiled for a quick start: the services cannot write here.
RUN chmod -R a+rX,go-w /app \
    && mkdir /out \
    && python -m compileall -q --invalidation-mode unchecked-hash /venv/lib /app


FROM python:3.13-slim AS runtime
COPY --from=build /venv /venv
COPY --from=build /app/common /app/common
COPY --from=build /app/services/__init__.py /app/services/
ENV PATH=/venv/bin:$PATH PYTHONPATH=/app PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# So that relative paths read as in a checkout: data and out are mounted at /data and /out.
WORKDIR /
# /livez, /readyz and /metrics, with HTTP_PORT=9000.
EXPOSE 9000
# A number, so that Kubernetes can see that it is not root. Any other works too: nothing in the image belongs to it.
USER 10001:10001


FROM runtime AS ingest
COPY --from=build /app/services/ingest /app/services/ingest
ENV INPUT=/data
ENTRYPOINT ["python", "-m", "services.ingest"]


FROM runtime AS split
COPY --from=build /app/services/split /app/services/split
ENTRYPOINT ["python", "-m", "services.split"]


FROM runtime AS sink
COPY --from=build /app/services/sink /app/services/sink
# A new named volume mounted here gets this owner.
COPY --from=build --chown=10001:10001 /out /out
ENV OUTPUT_DIR=/out
ENTRYPOINT ["python", "-m", "services.sink"]


# `nacre web` needs no package that the services do not have.
FROM runtime AS web
COPY --from=build /app/services /app/services
COPY --from=build /app/ops /app/ops
ENV OUTPUT_DIR=/out
EXPOSE 8090
ENTRYPOINT ["python", "-m", "ops", "web"]
CMD ["--host", "0.0.0.0"]
