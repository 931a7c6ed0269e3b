# The course in a container, for Binder, Codespaces and JupyterHub (its DockerSpawner and
# KubeSpawner start `jupyterhub-singleuser`). The package lies in /opt/mmcourse, so that a home
# folder from elsewhere may be mounted; the lessons are copied into the home folder.
#
#   docker build -t mmcourse .
#   docker run --rm -p 8888:8888 mmcourse
FROM python:3.11-slim-bookworm

ARG NB_USER=jovyan
ARG NB_UID=1000
# PyTorch without CUDA; for a machine with a GPU: --build-arg TORCH=default
ARG TORCH=cpu
ARG JUPYTERHUB=6.*

ENV USER=${NB_USER} NB_USER=${NB_USER} NB_UID=${NB_UID} HOME=/home/${NB_USER} LANG=C.UTF-8

RUN apt-get update -q \
 && apt-get install -y -q --no-install-recommends bubblewrap chromium git make \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid ${NB_UID} --shell /bin/bash ${NB_USER} \
 && install -d -o ${NB_USER} /opt/mmcourse
USER ${NB_USER}

WORKDIR /opt/mmcourse
COPY --chown=${NB_UID} Makefile pyproject.toml requirements.txt README.md LICENSE ./
COPY --chown=${NB_UID} mmcourse mmcourse
RUN make TORCH=${TORCH} .venv/run \
 && .venv/bin/uv pip install --no-cache --python .venv/bin/python -c requirements.txt \
      "jupyterhub==${JUPYTERHUB}" nbgitpuller \
 && .venv/bin/uv cache clean
ENV PATH=/opt/mmcourse/.venv/bin:${PATH}

WORKDIR ${HOME}
COPY --chown=${NB_UID} . .
EXPOSE 8888
CMD ["jupyter", "lab", "--ip=0.0.0.0", "--no-browser"]
