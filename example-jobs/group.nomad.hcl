# Three tasks with one network: one address, one localhost, and the ports of the group, which are
# published once. The network belongs to none of them: each can be restarted while the others keep
# running, as in "nomad alloc restart ALLOC TASK". A program that only the others are to reach listens
# on 127.0.0.1.
#
#     nomad job run -var image=URL -var pot=NAME example-jobs/group.nomad.hcl

variable "image" {
  type        = string
  default     = "http://127.0.0.1:8000/pots"
  description = "URL of the directory that the image's files are in"
}

variable "pot" {
  type    = string
  default = "hello-linux" # hello-freebsd, on a client that runs FreeBSD
}

job "group" {
  group "group" {
    network {
      port "http" {
        to = 8080
      }
    }

    task "web" {
      driver = "pot"

      config {
        image   = var.image
        pot     = var.pot
        tag     = "1.0"
        command = "/bin/hello"
        args    = ["serve", ":8080"]

        network_mode = "group"
      }

      resources {
        cpu    = 100 # MHz
        memory = 64  # MiB, though Nomad calls it MB
      }
    }

    task "backend" {
      driver = "pot"

      config {
        image   = var.image
        pot     = var.pot
        tag     = "1.0"
        command = "/bin/hello"
        args    = ["serve", "127.0.0.1:9090"]

        network_mode = "group"
      }

      resources {
        cpu    = 100 # MHz
        memory = 64  # MiB, though Nomad calls it MB
      }
    }

    task "cache" {
      driver = "pot"

      config {
        image   = var.image
        pot     = var.pot
        tag     = "1.0"
        command = "/bin/hello"
        args    = ["serve", "127.0.0.1:6379"]

        network_mode = "group"
      }

      resources {
        cpu    = 100 # MHz
        memory = 64  # MiB, though Nomad calls it MB
      }
    }
  }
}
