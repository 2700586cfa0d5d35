# The agent in a container.
#   docker build -t watchtower-agent .
#   docker run -d --name watchtower-agent --stop-timeout 45 --pid host --cgroupns host -e WATCHTOWER_AGENT_HOST="$(hostname)" \
#     --group-add "$(stat -c %g /var/run/docker.sock)" -v /var/run/docker.sock:/var/run/docker.sock \
#     -v /sys/fs/cgroup:/sys/fs/cgroup:ro \
#     -v watchtower-agent:/var/lib/watchtower-agent -v watchtower-disk:/var/lib/docker:ro \
#     -e WATCHTOWER_AGENT_MQTT__URL=mqtt://broker:1883 watchtower-agent
# docs/install.md explains each option, other base images, and a build without a network.
ARG BASE=python:3.13-slim

# Wheels for a build without a network: --build-context wheels=FOLDER --build-arg PIP_NO_INDEX=1 fills this.
FROM scratch AS wheels

FROM ${BASE} AS build
ARG PIP_NO_INDEX=
ENV PIP_FIND_LINKS=/wheels PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1
WORKDIR /build
# pip and setuptools stay behind in /tools; what is shipped is the other environment
RUN python3 -m venv /tools && python3 -m venv --without-pip /opt/watchtower-agent
COPY requirements.lock requirements-build.lock ./
RUN --mount=type=bind,from=wheels,target=/wheels \
    /tools/bin/pip install --no-deps --require-hashes -r requirements-build.lock && \
    /tools/bin/pip --python /opt/watchtower-agent/bin/python install --no-compile --no-deps --require-hashes -r requirements.lock
COPY pyproject.toml LICENSE README.md ./
COPY watchtower_agent watchtower_agent
# Compiled once, here, and never checked against the sources again: the agent starts faster and writes nothing. Without
# docstrings (PYTHONOPTIMIZE=2) it takes 3 MiB less.
RUN /tools/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /built . && \
    /tools/bin/pip --python /opt/watchtower-agent/bin/python install --no-compile --no-deps --no-index /built/*.whl && \
    /opt/watchtower-agent/bin/python -m compileall -q -j 0 -o 2 --invalidation-mode unchecked-hash /opt/watchtower-agent/lib

FROM ${BASE}
LABEL org.opencontainers.image.title="watchtower-agent" \
      org.opencontainers.image.description="Event-driven engine monitor and healing agent for Docker hosts" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/watchtower-agent /opt/watchtower-agent
COPY config/agent.yaml /etc/watchtower-agent/agent.yaml
COPY config/policies /etc/watchtower-agent/policies
COPY config/policy.schema.json /etc/watchtower-agent/policy.schema.json
# No root: the engine's socket is reached through its group, which `docker run --group-add` gives.
RUN echo 'watchtower:x:10001:10001::/var/lib/watchtower-agent:/usr/sbin/nologin' >>/etc/passwd && \
    echo 'watchtower:x:10001:' >>/etc/group && \
    mkdir -p /var/lib/watchtower-agent /run/watchtower-agent && \
    chown 10001:10001 /var/lib/watchtower-agent /run/watchtower-agent
ENV PATH=/opt/watchtower-agent/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONOPTIMIZE=2
USER 10001:10001
VOLUME /var/lib/watchtower-agent
# Whether the agent itself lives: to start it again would bring back neither a broker nor an engine.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["watchtower-agent", "status", "--alive", "--json"]
ENTRYPOINT ["watchtower-agent"]
CMD ["run"]
