# Two groups on a private bridge: the web server reaches the database at the address of its pot,
# which has no port on the host. Make the bridge on the client first:
# pot create-private-bridge -B example -S 10
#
#     nomad job run -var image=URL -var pot=NAME example-jobs/private-bridge.nomad.hcl

variable "image" {
  type        = string
  default     = "http://127.0.0.1:8000/pots"
  description = "URL of the directory that the image's files are in"
}

variable "pot" {
  type    = string
  default = "hello-linux" # hello-freebsd, on a client that runs FreeBSD
}

job "private-bridge" {
  group "db" {
    task "db" {
      driver = "pot"

      # Only a service of a task can have the pot's own address.
      service {
        name         = "example-db"
        provider     = "nomad"
        address_mode = "driver"
        port         = 8080
      }

      config {
        image   = var.image
        pot     = var.pot
        tag     = "1.0"
        command = "/bin/hello"
        args    = ["serve", ":8080"]

        network_mode = "private-bridge"
        bridge       = "example"
      }

      resources {
        cpu    = 100 # MHz
        memory = 64  # MiB, though Nomad calls it MB
      }
    }
  }

  group "web" {
    network {
      port "http" {
        to = 8080
      }
    }

    task "web" {
      driver = "pot"

      template {
        data        = "{{ range nomadService \"example-db\" }}{{ .Address }}:{{ .Port }}\n{{ end }}"
        destination = "local/db"
        change_mode = "noop" # the program reads the file again
      }

      config {
        image   = var.image
        pot     = var.pot
        tag     = "1.0"
        command = "/bin/hello"
        args    = ["serve", ":8080"]

        network_mode = "private-bridge"
        bridge       = "example"
      }

      resources {
        cpu    = 100 # MHz
        memory = 64  # MiB, though Nomad calls it MB
      }
    }
  }
}
