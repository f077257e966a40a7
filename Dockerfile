FROM python:3.11-slim-bookworm

# No cache and no bytecode to write: the root file system may be read-only.
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /app

# First what changes seldom, so that a new version rebuilds only its own files.
COPY requirements.txt ./
RUN pip install --require-hashes -r requirements.txt

COPY *.py schema.sql LICENSE ./
COPY migrations ./migrations
COPY store ./store
COPY connectors ./connectors
COPY catalogue ./catalogue
COPY templates ./templates
COPY static ./static

# Everything under /app belongs to root. The server can write to /data and to nothing else.
RUN useradd --system --uid 10001 --no-create-home --home-dir /nonexistent postern \
    && install -d -o postern -g postern -m 0700 /data
USER 10001
VOLUME /data

# MASTER_KEY comes from outside: as a variable, or better in a file that MASTER_KEY_FILE names.
ENV HOST=0.0.0.0 \
    PORT=8000 \
    DATABASE_URL=sqlite:////data/postern.db
EXPOSE 8000

HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 CMD ["python", "-c", "\
import http.client, os; \
gate = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=4); \
gate.request('GET', '/healthz'); \
raise SystemExit(gate.getresponse().status != 200)"]

CMD ["gunicorn", "-c", "gunicorn.conf.py"]
