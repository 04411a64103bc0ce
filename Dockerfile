# One image for every process; docker-compose.yml says which one each container runs.
FROM python:3.11-slim

# CPU: --build-arg TORCH_INDEX=https://<PyTorch's index of CPU wheels>. Left empty, pip's usual index
# gives the wheel with CUDA, which also runs without a GPU and is some gigabytes larger.
ARG TORCH_INDEX=""

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1 \
    PRETRAINER_DATA_DIR=/data

# The compiler is for torch.compile, which the trainer uses where the work is worth it.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --create-home --uid 10001 pretrainer \
    && install --directory --owner pretrainer --group pretrainer /data

WORKDIR /app
COPY constraints.txt ./
RUN pip install --constraint constraints.txt ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch==2.13.0
COPY . ./
RUN pip install --constraint constraints.txt --editable .

USER pretrainer
VOLUME /data
EXPOSE 8000
ENTRYPOINT ["pretrainer"]
CMD ["--help"]
