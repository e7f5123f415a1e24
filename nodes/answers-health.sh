# Whether the node of this container answers, and not whether it leads: the health check of ECS and of the compose file. By bash
# alone: a Node for every look would take a good part of a quarter of a processor, and the election its turns.
exec 3<>"/dev/tcp/127.0.0.1/${BATON_PUBLIC_PORT:?}" &&
  printf 'GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3 &&
  read -r -t 3 line <&3 &&
  [[ $line == *' 200 '* ]]
