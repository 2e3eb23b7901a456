# https://github.com/goccy/bigquery-emulator/blob/main/Dockerfile, but from scratch.
FROM scratch
COPY bin/bigquery-emulator /bin/bigquery-emulator
COPY tmp /tmp
COPY zoneinfo /usr/share/zoneinfo
WORKDIR /work
EXPOSE 9050 9060
ENTRYPOINT ["/bin/bigquery-emulator"]
