# fnet-cli on CPUs. docs/how-to/docker.md says how to build and run it, and what differs for GPUs.
ARG PYTHON_IMAGE=python:3.13.9-slim-trixie

FROM ${PYTHON_IMAGE} AS build
# Of the extras, in brackets: --build-arg EXTRAS=[fsspec]
ARG EXTRAS=""
WORKDIR /source
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY fnet_cli fnet_cli
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
    && python -m venv /opt/fnet \
    && /opt/fnet/bin/pip install --no-cache-dir "$(echo /wheels/*.whl)${EXTRAS}"

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="fnet-cli" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/fnet /opt/fnet
# Whoever runs it, as --user may say, may write to the home and to the directory of the files.
RUN useradd --create-home --uid 1000 fnet \
    && mkdir /data \
    && chmod 0777 /home/fnet /data
ENV PATH=/opt/fnet/bin:${PATH} \
    HOME=/home/fnet \
    PYTHONUNBUFFERED=1 \
    TF_CPP_MIN_LOG_LEVEL=3
USER 1000
WORKDIR /data
# Presets that were pulled, and the configuration.
VOLUME /home/fnet
ENTRYPOINT ["fnet"]
CMD ["--help"]
